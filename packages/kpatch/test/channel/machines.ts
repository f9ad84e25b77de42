/** Machines below a folder: a root that real apt and dpkg, or real dnf and rpm, install into, with a `kpatch` that notes its calls. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildRpm } from '#kpatch/channel/package/rpm.ts';

export interface TestMachine {
  readonly root: string;
  /** How `kpatch` was called by the packages' scripts. */
  calls(): string[];
}

function tree(root: string): TestMachine {
  for (const path of ['bin', 'usr/bin', 'etc', 'boot', 'dev']) mkdirSync(join(root, path), { recursive: true });
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  chmodSync(join(root, 'bin/busybox'), 0o755);
  for (const name of ['sh', 'grep', 'uname', 'cp', 'mv']) symlinkSync('busybox', join(root, 'bin', name));
  writeFileSync(join(root, 'usr/bin/kpatch'), '#!/bin/sh\necho "$@" >> /calls\n', { mode: 0o755 });
  const calls = (): string[] =>
    existsSync(join(root, 'calls')) ? readFileSync(join(root, 'calls'), 'utf8').trim().split('\n') : [];
  return { root, calls };
}

/** A Debian machine: apt and dpkg with nothing but kpatch installed. */
export function debianMachine(folder: string): TestMachine {
  const machine = tree(join(folder, 'debian'));
  for (const path of [
    'etc/apt/sources.list.d',
    'etc/apt/preferences.d',
    'etc/apt/apt.conf.d',
    'etc/apt/trusted.gpg.d',
    'var/lib/apt/lists/partial',
    'var/cache/apt/archives/partial',
    'var/lib/dpkg/info',
    'var/lib/dpkg/updates',
    'var/lib/dpkg/triggers',
    'var/log/apt',
  ]) {
    mkdirSync(join(machine.root, path), { recursive: true });
  }
  const status =
    'Package: kpatch\nStatus: install ok installed\nVersion: 0.1.0\nArchitecture: amd64\nMaintainer: x <x@localhost>\nDescription: stands for the host’s own package\n\n';
  writeFileSync(join(machine.root, 'var/lib/dpkg/status'), status);
  writeFileSync(join(machine.root, 'var/lib/dpkg/available'), '');
  return machine;
}

/** A machine of the RHEL family: rpm's database with a package that provides kpatch and the shell. */
export async function rhelMachine(folder: string): Promise<TestMachine> {
  const machine = tree(join(folder, 'rhel'));
  for (const path of ['etc/yum.repos.d', 'var/lib/rpm', 'var/cache/dnf', 'etc/pki/rpm-gpg'])
    mkdirSync(join(machine.root, path), { recursive: true });
  const rpm = join(folder, 'kpatch-0.1.0-1.noarch.rpm');
  const files = new Map([['/bin/sh', readFileSync('/bin/busybox')]]);
  await buildRpm(
    {
      debName: 'kpatch',
      rpmName: 'kpatch',
      version: '0.1.0',
      debRelease: '1',
      rpmRelease: '1',
      arch: 'noarch',
      summary: 'x',
      description: ['x'],
      depends: [],
      files,
      configFiles: [],
    },
    rpm,
  );
  const result = spawnSync('rpm', ['--root', machine.root, '-i', '--nodeps', '--nosignature', rpm], {
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(result.stderr);
  chmodSync(join(machine.root, 'bin/sh'), 0o755);
  return machine;
}

/** A kernel that is installed there. */
export function installKernel(machine: TestMachine, release: string): void {
  writeFileSync(join(machine.root, 'boot', `vmlinuz-${release}`), '');
}
