/**
 * The software bill of materials of a program, in CycloneDX 1.6: the libraries that are really in it, and Node with the libraries that are
 * compiled into it. The same program gives the same document.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library';
import { sha256 } from '#kpatch/base/digest.ts';
import { runOk } from '#kpatch/base/run.ts';
import { node } from './executable.ts';
import { lockedPackages } from './lock-file.ts';
import type { PackageRequest } from './request.ts';

export interface SbomInput {
  /** Of the program. */
  readonly name: string;
  readonly version: string;
  /** What the document describes: the executable, or a list of digests of all files. */
  readonly content: Uint8Array;
  /** Folders of the libraries in it, as package-lock.json names them. */
  readonly libraries: readonly string[];
  /** The pinned Node. */
  readonly node: string;
  /** Seconds since 1970. */
  readonly epoch: number;
}

/** The document as JSON text. */
export async function sbom(input: SbomInput): Promise<string> {
  const { version, content, libraries, node, epoch } = input;
  const { Application, Library } = Enums.ComponentType;
  const digest = sha256(content);
  const program = component(Application, input.name, version, 'GPL-2.0-or-later');
  program.purl = `pkg:generic/${input.name}@${version}`;
  program.hashes.set(Enums.HashAlgorithm['SHA-256'], digest);
  const bom = new Models.Bom({ metadata: new Models.Metadata({ component: program }) });
  bom.metadata.timestamp = new Date(epoch * 1000);
  bom.serialNumber = serialNumber(digest);
  const locked = lockedPackages();
  for (const folder of libraries) {
    const { version: found = '', license, integrity } = locked[folder] ?? {};
    const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const part = component(Library, name, found, license);
    part.purl = `pkg:npm/${name.replace('@', '%40')}@${found}`;
    const sha512 = /^sha512-(\S+)$/.exec(integrity ?? '')?.[1];
    if (sha512 !== undefined)
      part.hashes.set(Enums.HashAlgorithm['SHA-512'], Buffer.from(sha512, 'base64').toString('hex'));
    bom.components.add(part);
    program.dependencies.add(part.bomRef);
  }
  const platform = await nodeParts(node);
  for (const part of platform) bom.components.add(part);
  program.dependencies.add(platform[0]!.bomRef);
  const text = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6)).serialize(bom, {
    sortLists: true,
    space: 1,
  });
  return `${text}\n`;
}

/** Writes the document into the folder of the packages and into the tree; gives its path in the former. */
export async function writeSbom(
  { dist, tree, version, epoch }: PackageRequest,
  program: Pick<SbomInput, 'name' | 'content' | 'libraries'>,
): Promise<string> {
  const { name } = program;
  // The Node of another machine cannot be asked what is in it; it is of the same version.
  const bill = await sbom({ ...program, version, node, epoch });
  const file = join(dist, `${name}-${version}.cdx.json`);
  for (const path of [file, join(tree, `usr/share/doc/${name}/${name}.cdx.json`)]) writeFileSync(path, bill);
  return file;
}

/** Folders of the packages that files belong to, as package-lock.json names them, sorted. */
export function packagesOf(files: readonly string[]): string[] {
  const folders = files.flatMap((file) => /^(?:.*\/)?(node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
  return [...new Set(folders)].sort();
}

/** Node itself, first, and what it says is compiled into it. */
async function nodeParts(node: string): Promise<Models.Component[]> {
  const { stdout } = await runOk(node, ['-p', 'JSON.stringify(process.versions)']);
  const versions = JSON.parse(stdout.toString()) as Record<string, string>;
  const runtime = component(Enums.ComponentType.Framework, 'node', versions.node!, 'MIT');
  runtime.purl = `pkg:generic/node@${versions.node}`;
  const parts = Object.entries(versions)
    // `modules` and `napi` are numbers of interfaces; what has no version is not compiled in.
    .filter(([name, version]) => version !== '' && !['node', 'modules', 'napi'].includes(name))
    .map(([name, version]) => {
      const part = component(Enums.ComponentType.Library, name, version, undefined);
      part.purl = `pkg:generic/${name}@${encodeURIComponent(version)}`;
      runtime.dependencies.add(part.bomRef);
      return part;
    });
  return [runtime, ...parts];
}

function component(
  type: Enums.ComponentType,
  name: string,
  version: string,
  license: string | undefined,
): Models.Component {
  const made = new Models.Component(type, name, { version, bomRef: `${name}@${version}` });
  if (license !== undefined) made.licenses.add(new Models.SpdxLicense(license));
  return made;
}

/** A UUID of version 8 (RFC 9562) from the digest of what the document describes. */
function serialNumber(digest: string): string {
  const variant = ((Number.parseInt(digest[16]!, 16) & 3) | 8).toString(16);
  const parts = [digest.slice(0, 8), digest.slice(8, 12), `8${digest.slice(13, 16)}`, variant + digest.slice(17, 20)];
  return `urn:uuid:${[...parts, digest.slice(20, 32)].join('-')}`;
}
