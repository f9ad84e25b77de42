/**
 * Figures of the channel (issue: 50 kernels with 20 patches each publish in under 60 s, one patch is added in under 5 s, `check`
 * reads it all in under 20 s in constant memory; the changelog of a kernel is read in under 2 s).
 * KERNELS and PATCHES make it smaller. Setting up the full channel builds and signs 2,000 packages, which takes some minutes.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { addPatches, putKernel } from '#kpatch/channel/repository/add.ts';
import { readConfig } from '#kpatch/channel/repository/config.ts';
import { kernelSchema } from '#kpatch/channel/repository/kernel.ts';
import { writeModule } from '../packages/kpatch/test/channel/module-file.ts';

const kernels = Number(process.env.KERNELS ?? 50);
const patches = Number(process.env.PATCHES ?? 20);
const kpatch = join(import.meta.dirname, '../bin/kpatch');

interface Timed {
  readonly seconds: number;
  /** Largest resident memory of the process itself while it ran. */
  readonly peakMB: number;
}

/** Runs kpatch, watching its memory in /proc. */
async function timed(...args: string[]): Promise<Timed> {
  const start = performance.now();
  const child = spawn(kpatch, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  let peakMB = 0;
  const timer = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      peakMB = Math.max(peakMB, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It has just ended.
    }
  }, 20);
  const status = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(timer);
  if (status !== 0) throw new Error(`kpatch ${args.join(' ')} ended with ${status}`);
  return { seconds: (performance.now() - start) / 1000, peakMB };
}

function row(what: string, figure: string, limit: string): void {
  console.log(`${what.padEnd(58)} ${figure.padStart(10)}   ${limit}`);
}

using work = temporaryFolder('kpatch-bench-');
const home = join(work.path, 'gnupg');
mkdirSync(home, { mode: 0o700 });
process.env.GNUPGHOME = home;
try {
  await changelog();
  await channel();
} finally {
  spawnSync('gpgconf', ['--kill', 'all']);
}

/** A changelog as long as Debian's: the installed one where there is one, else one that is made. */
async function changelog(): Promise<void> {
  const installed = readdirSync('/usr/share/doc')
    .filter((name) => /^linux-(image|source)-\d/.test(name))
    .flatMap((name) => ['changelog.Debian.gz', 'changelog.gz'].map((file) => join('/usr/share/doc', name, file)))
    .find((file) => {
      try {
        return readFileSync(file).length > 100_000;
      } catch {
        return false;
      }
    });
  const file = installed ?? join(work.path, 'changelog.gz');
  if (installed === undefined) writeFileSync(file, gzipSync(madeChangelog()));
  const { seconds, peakMB } = await timed('advisory', '--kernel', '6.1.0-1-amd64', '--from', '6.1.1-1', '--json', file);
  row(
    `advisory on ${installed === undefined ? 'a made changelog of 4,400 CVEs' : installed}`,
    `${seconds.toFixed(2)} s`,
    `at most 2 s (${peakMB.toFixed(0)} MB)`,
  );
}

function madeChangelog(): string {
  const entries: string[] = [];
  for (let version = 200; version > 90; version--) {
    const lines = Array.from(
      { length: 550 },
      (_, n) =>
        `    - net: some part: fix number ${n} of something${n % 14 === 0 ? ` (CVE-2026-${version * 1000 + n})` : ''}`,
    );
    entries.push(
      `linux (6.1.${version}-1) bookworm-security; urgency=high\n\n  * New upstream stable update:\n${lines.join('\n')}\n\n -- A <a@example.org>  Sun, 01 Nov 2026 10:00:00 +0100\n`,
    );
  }
  return entries.join('\n');
}

async function channel(): Promise<void> {
  const folder = join(work.path, 'channel');
  spawnSync(
    'gpg',
    [
      '--batch',
      '--quiet',
      '--passphrase',
      '',
      '--quick-generate-key',
      'bench <bench@example.org>',
      'rsa3072',
      'sign',
      '1y',
    ],
    { stdio: 'ignore' },
  );
  await timed(
    'channel',
    'init',
    folder,
    '--name',
    'bench',
    '--url',
    'http://127.0.0.1/bench',
    '--key',
    'bench@example.org',
    '--json',
  );
  const config = readConfig(folder);
  const releases = Array.from({ length: kernels }, (_, n) => `6.1.0-${n + 1}-amd64`);
  const now = new Date();
  const start = performance.now();
  const one = async (release: string): Promise<void> => {
    const kernel = {
      schema: kernelSchema,
      release,
      arch: 'x86_64',
      distribution: 'Debian:12',
      extended: null,
      patches: [],
    } as const;
    await putKernel(
      folder,
      config,
      { ...kernel, packageVersion: `6.1.${release.split('-')[1]}-1`, released: now.toISOString().slice(0, 10) },
      now,
    );
    const modules = Array.from({ length: patches }, (_, n) =>
      writeModule(work.path, { release, version: n + 1, cves: cves(n + 1) }),
    );
    await addPatches(folder, config, modules, { release: 1, withdrawn: [], advisories: new Map(), now });
    for (const module of modules) rmSync(module);
  };
  const waiting = [...releases];
  const worker = async (): Promise<void> => {
    for (let release = waiting.shift(); release !== undefined; release = waiting.shift()) await one(release);
  };
  await Promise.all([worker(), worker()]);
  row(
    `set-up: ${kernels} kernels, ${patches} patches each`,
    `${((performance.now() - start) / 1000).toFixed(0)} s`,
    '',
  );
  const first = await timed('channel', 'publish', folder, '--json');
  row(
    'first publish (all indexes, advisories and signatures)',
    `${first.seconds.toFixed(1)} s`,
    `at most 60 s (${first.peakMB.toFixed(0)} MB)`,
  );
  const module = writeModule(work.path, { release: releases[0]!, version: patches + 1, cves: cves(patches + 1) });
  const added = await timed('channel', 'add', folder, module, '--json');
  row('add one patch', `${added.seconds.toFixed(1)} s`, `at most 5 s (${added.peakMB.toFixed(0)} MB)`);
  const second = await timed('channel', 'publish', folder, '--json');
  row('publish it', `${second.seconds.toFixed(1)} s`, '');
  const checked = await timed('channel', 'check', folder, '--json');
  row('check', `${checked.seconds.toFixed(1)} s`, `at most 20 s (${checked.peakMB.toFixed(0)} MB)`);
}

function cves(count: number): string[] {
  return Array.from({ length: count * 3 }, (_, n) => `CVE-2026-${10_000 + n}`);
}
