/** Rotating the key of packages: first both sign and machines learn the new one, then the old one stops. */
import { copyFileSync, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { sha256File } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { temporaryFolder } from '../../base/files.ts';
import { namesBelow } from '../../base/walk.ts';
import { type ChannelConfig, layout } from './config.ts';
import { secretKey, signRpms } from './gpg.ts';
import { readKernels, writeKernel } from './kernel.ts';

/** The configuration with a further key that signs. Error: `channel-key`. */
export async function addKey(config: ChannelConfig, name: string): Promise<ChannelConfig> {
  const { fingerprint } = await secretKey(name);
  if (config.keys.includes(fingerprint))
    throw failure('channel-key', { key: fingerprint, problem: 'it is already a signing key' });
  if (config.revokedKeys?.includes(fingerprint))
    throw failure('channel-key', { key: fingerprint, problem: 'it was revoked, and never signs again' });
  return {
    ...config,
    keys: [...config.keys, fingerprint],
    formerKeys: config.formerKeys.filter((key) => key !== fingerprint),
  };
}

/**
 * The configuration without a key: retired, so that it may sign again one day, or revoked for good. Either way nothing that
 * only this key signed remains: packages and advisories are signed again, and machines get a key ring without it. The key
 * itself is not needed. Error: `channel-key`.
 */
export async function retireKey(
  folder: string,
  config: ChannelConfig,
  name: string,
  revoke = false,
): Promise<ChannelConfig> {
  const wanted = name.toUpperCase().replace(/^0X|\s/g, '');
  const old = config.keys.find((key) => key === wanted || (wanted.length >= 16 && key.endsWith(wanted)));
  if (old === undefined)
    throw failure('channel-key', { key: name, problem: 'no key with that fingerprint signs this channel' });
  const keys = config.keys.filter((key) => key !== old);
  const [signer] = keys;
  if (signer === undefined)
    throw failure('channel-key', { key: name, problem: 'it is the only key; add its successor first' });
  // An rpm package bears one signature, that of the oldest key.
  if (config.keys[0] === old) await signAgain(folder, signer);
  dropAdvisorySignatures(layout(folder).csaf);
  if (!revoke) return { ...config, keys, formerKeys: [...config.formerKeys, old] };
  return { ...config, keys, revokedKeys: [...(config.revokedKeys ?? []), old] };
}

/** Advisories without a signature are signed by the next publication. Published trees keep theirs: they are hard links. */
function dropAdvisorySignatures(csaf: string): void {
  const names = existsSync(csaf) ? namesBelow(csaf) : [];
  for (const name of names) if (name.endsWith('.asc')) rmSync(join(csaf, name));
}

async function signAgain(folder: string, key: string): Promise<void> {
  const { pool } = layout(folder);
  for (const kernel of readKernels(folder)) {
    using work = temporaryFolder('.sign-', folder);
    const names = kernel.patches.flatMap((patch) => patch.rpm?.file ?? []);
    // Published trees hold hard links to the pool's files, so these are replaced, never changed.
    for (const name of names) copyFileSync(join(pool.rpm, name), join(work.path, name));
    await signRpms(
      names.map((name) => join(work.path, name)),
      key,
    );
    const patches = [];
    for (const patch of kernel.patches) {
      if (patch.rpm === null) {
        patches.push(patch);
        continue;
      }
      const file = join(work.path, patch.rpm.file);
      const rpm = { file: patch.rpm.file, size: statSync(file).size, sha256: await sha256File(file) };
      renameSync(file, join(pool.rpm, patch.rpm.file));
      patches.push({ ...patch, rpm });
    }
    writeKernel(folder, { ...kernel, patches });
  }
}
