/** A small root for dnf: a shell and the libraries that kpatch needs, as one package, and kpatch's own real package. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runOk } from '#kpatch/base/run.ts';
import { buildRpm } from '#kpatch/channel/package/rpm.ts';

/** Makes it below `root`; gives `root`. */
export async function rpmMachine(root: string, kpatchRpm: string): Promise<string> {
  for (const path of [
    'bin',
    'etc/yum.repos.d',
    'etc/pki/rpm-gpg',
    'var/lib/rpm',
    'var/cache/dnf',
    'boot',
    'dev',
    'proc',
    'tmp',
    'run',
  ]) {
    mkdirSync(join(root, path), { recursive: true });
  }
  // A distribution's packages would bring these; what follows needs no more of them.
  const base = join(root, 'tmp/base.rpm');
  const files = new Map([['/bin/sh', readFileSync('/bin/busybox')]]);
  const names = {
    debName: 'demo-base',
    rpmName: 'demo-base',
    version: '1',
    debRelease: '1',
    rpmRelease: '1',
    arch: 'noarch',
  };
  await buildRpm(
    {
      ...names,
      summary: 'A shell',
      description: ['A shell.'],
      depends: [],
      files,
      configFiles: [],
    },
    base,
  );
  await runOk('rpm', ['--root', root, '-i', '--nosignature', '--nodeps', '/tmp/base.rpm'.replace(/^/, root)]);
  chmodSync(join(root, 'bin/sh'), 0o755);
  for (const name of ['grep', 'uname', 'cp', 'mv', 'rm', 'mkdir', 'cat'])
    if (!existsSync(join(root, 'bin', name))) symlinkSync('sh', join(root, 'bin', name));
  await runOk('rpm', ['--root', root, '-i', '--nosignature', '--nodeps', kpatchRpm]);
  const executable = ['usr/sbin/kpatch', 'usr/bin/kpatch']
    .map((path) => join(root, path))
    .find((path) => existsSync(path))!;
  copyFileSync('/usr/bin/flock', join(root, 'bin/flock'));
  const { stdout } = await runOk('ldd', [executable, '/usr/bin/flock']);
  for (const library of stdout.toString().match(/\/\S+\.so\S*/g) ?? []) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    copyFileSync(library, join(root, library));
    chmodSync(join(root, library), 0o755);
  }
  return root;
}
