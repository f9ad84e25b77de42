/** The files that kpatch 0.1 wrote (`test/fixtures/0.1/README.md`), unpacked where a test may change them. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

export const folder = join(import.meta.dirname, '../fixtures/0.1');
export const release = '6.1.0-57-amd64';
export const cumulative = 'kpatch_6_1_0_57_amd64_1_1';
export const single = 'livepatch_cmdline';

/** Path of a fixture. */
export function fixture(name: string): string {
  return join(folder, name);
}

/** Unpacks `NAME.tar.gz` of the fixtures into a folder, which is made. */
export function unpack(name: 'machine' | 'cache' | 'channel', target: string): string {
  mkdirSync(target, { recursive: true });
  const { status, stderr } = spawnSync('tar', ['-xzf', fixture(`${name}.tar.gz`), '-C', target], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return target;
}
