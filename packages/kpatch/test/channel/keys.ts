/** Keys for tests: made by gpg on the spot, in a home of their own. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

/** Makes GNUPGHOME a new home for this process; it goes with it. Short, since gpg's sockets are in it. */
export function gnupgHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'kg-'));
  process.env.GNUPGHOME = home;
  after(() => {
    spawnSync('gpgconf', ['--kill', 'all']);
    rmSync(home, { recursive: true, force: true });
  });
  return home;
}

/** Makes a key; gives its fingerprint. `expire` as gpg takes it, `-` for never. */
export function makeKey(name: string, expire = '-', ...options: string[]): string {
  const made = spawnSync(
    'gpg',
    [
      '--batch',
      '--status-fd',
      '1',
      ...options,
      '--passphrase',
      '',
      '--quick-generate-key',
      name,
      'rsa2048',
      'sign',
      expire,
    ],
    { encoding: 'utf8' },
  );
  const fingerprint = /KEY_CREATED \w ([0-9A-F]{40})/.exec(made.stdout)?.[1];
  if (fingerprint === undefined) throw new Error(`no key was made: ${made.stderr}`);
  return fingerprint;
}
