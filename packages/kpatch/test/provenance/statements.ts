/** A module with a manifest and the statements that belong to it, for tests. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '#kpatch/base/digest.ts';
import { type PublicKey, publicKeyOf } from '#kpatch/module/public-key.ts';
import { type PrivateKey, readPrivateKey } from '#kpatch/module/signing-key.ts';
import { provenanceOf } from '#kpatch/provenance/slsa.ts';
import type { ProvenanceStatement } from '#kpatch/provenance/statement.ts';
import { madeModule, manifest } from '../module/made-module.ts';

type Parameters = ProvenanceStatement['predicate']['buildDefinition']['externalParameters'];

export interface KeyPair {
  readonly file: string;
  readonly secret: PrivateKey;
  readonly public: PublicKey;
}

/** A new pair of keys; the private one is written to `FOLDER/NAME.pem`, the public one to `FOLDER/NAME.pub`. */
export function keyPair(folder: string, name: string, kind: 'ed25519' | 'ec' | 'rsa' = 'ed25519'): KeyPair {
  const { privateKey, publicKey } = pair(kind);
  const file = join(folder, `${name}.pem`);
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const pem = Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(join(folder, `${name}.pub`), pem);
  return { file, secret: readPrivateKey(file), public: publicKeyOf(pem, `${name}.pub`) };
}

function pair(kind: string): { privateKey: KeyObject; publicKey: KeyObject } {
  if (kind === 'ec') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return kind === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ed25519');
}

/** The options of a build without any that weaken it. */
export const strict: Omit<Parameters, 'release' | 'name' | 'version' | 'patches' | 'cves'> = {
  replace: true,
  acceptLayouts: [],
  leaveOutInit: false,
  keepLineChanges: false,
  skipRunPre: false,
  skipCompilerCheck: false,
  custom: false,
};

const patch = 'the text of a patch\n';

/** A module file and its provenance. */
export async function moduleWithProvenance(): Promise<{ module: Uint8Array; statement: ProvenanceStatement }> {
  const module = madeModule({ manifest: { patches: [{ name: 'a.patch', sha256: sha256(patch) }] } });
  const statement = await provenanceOf({
    parameters: {
      release: manifest.release,
      name: manifest.name,
      version: manifest.version,
      patches: ['a.patch'],
      cves: [],
      ...strict,
    },
    internal: {
      sourceVersion: '6.1.9-1',
      distribution: 'custom',
      compiler: 'gcc',
      toolchain: 'local',
      sandbox: true,
    },
    dependencies: [
      {
        name: 'a.patch',
        digest: { sha256: sha256(patch) },
        content: Buffer.from(patch).toString('base64'),
        annotations: { role: 'patch' },
      },
    ],
    file: module,
    unsigned: module,
  });
  return { module, statement };
}
