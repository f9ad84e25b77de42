/** The SLSA provenance of a module (slsa.dev/spec/v1.0/provenance): what it was built from, with which program. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isSea } from 'node:sea';
import { sha256, sha256File } from '../base/digest.ts';
import { readBytes } from '../base/files.ts';
import { once } from '../base/once.ts';
import { version } from '../base/version.ts';
import { filesBelow } from '../base/walk.ts';
import { type ProvenanceStatement, type Resource, statementType } from './statement.ts';

export const buildType = 'urn:kpatch:build:v1';
/** The builder if the user names none. It identifies nobody: the signature does. */
export const unnamedBuilder = 'urn:kpatch:builder:unnamed';

type Definition = ProvenanceStatement['predicate']['buildDefinition'];
export type Parameters = Definition['externalParameters'];

/** What the builder knows when a module is finished. */
export interface BuildFacts {
  readonly parameters: Parameters;
  readonly internal: Definition['internalParameters'];
  readonly dependencies: readonly Resource[];
  /** The module file and the module without its signature. */
  readonly file: Uint8Array;
  readonly unsigned: Uint8Array;
}

/** The statement. It contains no times and no names of machines: two builders that agree make the same one. */
export async function provenanceOf(facts: BuildFacts, builder = unnamedBuilder): Promise<ProvenanceStatement> {
  const { parameters, internal, dependencies, file, unsigned } = facts;
  const name = `${parameters.name}.ko`;
  const subject = [{ name, digest: { sha256: sha256(file) } }];
  if (file.length !== unsigned.length)
    subject.push({ name: `${name} without its signature`, digest: { sha256: sha256(unsigned) } });
  return {
    _type: statementType,
    subject,
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType,
        externalParameters: parameters,
        internalParameters: internal,
        resolvedDependencies: [...dependencies],
      },
      runDetails: {
        builder: {
          id: builder,
          version: { kpatch: version, node: process.version },
          builderDependencies: [await ownDigest()],
        },
      },
    },
  };
}

/** This program: the executable, or the sources of a checkout as a `dirHash` (in-toto, digest_set.md). */
export const ownDigest = once(async (): Promise<Resource> => (isSea() ? await executable() : checkout()));

async function executable(): Promise<Resource> {
  return { name: `kpatch ${version}`, digest: { sha256: await sha256File(process.execPath) } };
}

function checkout(): Resource {
  const root = join(import.meta.dirname, '..');
  const names = filesBelow(root)
    .filter((name) => !/^(?:test|node_modules)\/|\.md$/.test(name))
    .sort();
  const hash = createHash('sha256');
  for (const name of names) hash.update(`${sha256(readBytes(join(root, name)))}  ${name}\n`);
  return { name: `kpatch ${version}`, digest: { dirHash: hash.digest('hex') } };
}
