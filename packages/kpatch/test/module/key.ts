/** Keys with self-signed certificates for tests, made by openssl(1) on the spot. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { SigningKey } from '#kpatch/module/make/sign.ts';

/** Makes `NAME.key` and `NAME.pem` in a folder; the certificate's common name is the name. */
export function makeKey(folder: string, name: string, kind: readonly string[] = ['rsa:2048']): SigningKey {
  const key = join(folder, `${name}.key`);
  const certificate = join(folder, `${name}.pem`);
  const args = ['req', '-new', '-x509', '-newkey', ...kind, '-nodes', '-days', '30', '-subj', `/CN=${name}`];
  const result = spawnSync('openssl', [...args, '-keyout', key, '-out', certificate], { encoding: 'utf8' });
  assert.equal(result.status, 0, result.stderr);
  return { key, certificate };
}
