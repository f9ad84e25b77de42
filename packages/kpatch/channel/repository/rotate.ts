/** Rotating the key: first both sign and machines learn the new one, then the old one stops. */
import { copyFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { sha256File } from '../../base/digest.ts';
import { fail } from '../../base/errors/error.ts';
import { temporaryFolder } from '../../base/files.ts';
import { type ChannelConfig, layout } from './config.ts';
import { secretKey, signRpms } from './gpg.ts';
import { readKernels, writeKernel } from './kernel.ts';

/** The configuration with a further key that signs. Error: `channel-key`. */
export async function addKey(config: ChannelConfig, name: string): Promise<ChannelConfig> {
  const { fingerprint } = await secretKey(name);
  if (config.keys.includes(fingerprint))
    throw fail('channel-key', { key: fingerprint, problem: 'it is already a signing key' });
  return {
    ...config,
    keys: [...config.keys, fingerprint],
    formerKeys: config.formerKeys.filter((key) => key !== fingerprint),
  };
}

/**
 * The configuration without a key. An rpm package bears one signature, so those that the old key signed are signed again.
 * A key that is lost or has leaked can be retired too: it is only named. Error: `channel-key`.
 */
export async function retireKey(folder: string, config: ChannelConfig, name: string): Promise<ChannelConfig> {
  const wanted = name.toUpperCase().replace(/^0X|\s/g, '');
  const old = config.keys.find((key) => key === wanted || (wanted.length >= 16 && key.endsWith(wanted)));
  if (old === undefined)
    throw fail('channel-key', { key: name, problem: 'no key with that fingerprint signs this channel' });
  const keys = config.keys.filter((key) => key !== old);
  const [signer] = keys;
  if (signer === undefined)
    throw fail('channel-key', { key: name, problem: 'it is the only key; add its successor first' });
  if (config.keys[0] === old) await signAnew(folder, signer);
  return { ...config, keys, formerKeys: [...config.formerKeys, old] };
}

async function signAnew(folder: string, key: string): Promise<void> {
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
