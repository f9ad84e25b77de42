/**
 * `make recordings`: records build, try, load and prove as asciicasts (version 2, https://docs.asciinema.org/manual/asciicast/v2/)
 * into docs/recordings, from real runs in a terminal that script(1) provides.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';

const root = join(import.meta.dirname, '..');
const target = join(root, 'docs/recordings');
const module = 'livepatch_CVE_2026_53130.ko';

/** By name of the recording: the command line. */
const scenes: Readonly<Record<string, string>> = {
  build: 'kpatch build CVE-2026-53130.patch -k 6.1.0-47-amd64',
  try: `kpatch try ${module} --no-load -m loop -c 'sh volume.sh; kpatch load; sh volume.sh'`,
  load: `kpatch try ${module} --no-load -c 'kpatch load; kpatch list; kpatch unload; kpatch list'`,
  prove: `kpatch prove ${module}`,
};

/** Seconds in which a person types the command. */
const TYPING = 1.5;

using folder = temporaryFolder('kpatch-recording-');
chmodSync(folder.path, 0o755);
cpSync(join(root, 'examples/tutorial'), folder.path, { recursive: true });
mkdirSync(target, { recursive: true });
for (const [name, command] of Object.entries(scenes)) {
  const [timing, output] = [join(folder.path, `.${name}.timing`), join(folder.path, `.${name}.output`)];
  const size = 'stty rows 30 cols 100';
  execFileSync('script', ['-q', '-e', '-T', timing, '-O', output, '-c', `${size}; ${command}`], {
    cwd: folder.path,
    env: { ...process.env, PATH: `${join(root, 'bin')}:${process.env.PATH}`, TERM: 'xterm-256color', SHELL: '/bin/sh' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const bytes = readFileSync(output);
  let at = bytes.indexOf(10) + 1; // script's own first line
  let time = TYPING;
  const events = [
    ...[...`$ ${command}`].map((key, i, all) => [round((i * TYPING) / all.length), 'o', key]),
    [TYPING, 'o', '\r\n'],
  ];
  for (const line of readFileSync(timing, 'utf8').trim().split('\n')) {
    const [wait = 0, length = 0] = line.split(' ').map(Number);
    time += Math.min(wait, 2);
    events.push([
      round(time),
      'o',
      bytes
        .subarray(at, at + length)
        .toString('utf8')
        .replaceAll(folder.path, '~'),
    ]);
    at += length;
  }
  const header = { version: 2, width: 100, height: 30, title: command, env: { TERM: 'xterm-256color' } };
  const lines = [header, ...events].map((one) => JSON.stringify(one));
  writeFileSync(join(target, `${name}.cast`), `${lines.join('\n')}\n`);
  console.log(`${name}: ${time.toFixed(1)} s`);
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
