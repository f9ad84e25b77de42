/** The public key of a channel, given as a file in either form, in both forms. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../../errors/error.ts';
import { readBytes, temporaryFolder } from '../../util/files.ts';
import { run } from '../../util/run.ts';

/** Reads a file of public keys, armored or binary. Errors: `file-unreadable`, `channel-key-file`, `tool-missing`. */
export async function exportRing(file: string): Promise<{ armored: string; binary: Buffer; fingerprints: string[] }> {
  const bytes = readBytes(file);
  using folder = temporaryFolder('kpatch-key-');
  const home = join(folder.path, 'home');
  mkdirSync(home, { mode: 0o700 });
  const gpg = ['--homedir', home, '--batch', '--no-autostart'];
  const imported = await run('gpg', [...gpg, '--import'], { input: bytes });
  const listed = await run('gpg', [...gpg, '--with-colons', '--list-keys']);
  const lines = listed.stdout
    .toString()
    .split('\n')
    .map((line) => line.split(':'));
  const fingerprints = lines.flatMap((line, at) => (line[0] === 'pub' ? [lines[at + 1]?.[9] ?? ''] : []));
  if (fingerprints.length === 0) throw fail('channel-key-file', { file }, { where: { file }, detail: imported.stderr });
  if (bytes.includes('PRIVATE KEY BLOCK'))
    throw fail('channel-key-file', { file }, { where: { file }, detail: 'it holds a private key' });
  const armored = await run('gpg', [...gpg, '--armor', '--export']);
  const binary = await run('gpg', [...gpg, '--export']);
  return { armored: armored.stdout.toString(), binary: binary.stdout, fingerprints };
}
