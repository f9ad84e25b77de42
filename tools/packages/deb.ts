/** The .deb of the program itself. */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { runOk } from '#kpatch/base/run.ts';
import { root } from './executable.ts';
import { type PackageRequest, setTimes } from './request.ts';

/** Builds the package; gives its path. Errors: `tool-missing`, `tool-failed`. */
export async function buildDeb(request: PackageRequest, architecture: string): Promise<string> {
  const { tree, work, dist, version, epoch } = request;
  const stage = join(work, 'deb');
  cpSync(tree, stage, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  // On a merged /usr, as Debian has had since 12, units may be in either; before that only /lib was read.
  mkdirSync(join(stage, 'usr/bin'), { recursive: true });
  symlinkSync('../sbin/kpatch', join(stage, 'usr/bin/kpatch'));
  mkdirSync(join(stage, 'lib'), { recursive: true });
  renameSync(join(stage, 'usr/lib/systemd'), join(stage, 'lib/systemd'));
  const control = join(stage, 'DEBIAN');
  mkdirSync(control);
  for (const script of readdirSync(join(root, 'packaging/deb'))) {
    copyFileSync(join(root, 'packaging/deb', script), join(control, script));
    chmodSync(join(control, script), script === 'triggers' ? 0o644 : 0o755);
  }
  writeFileSync(join(control, 'conffiles'), '/etc/needrestart/conf.d/kpatch.conf\n');
  const { stdout } = await runOk('du', ['-sk', '--apparent-size', stage]);
  writeFileSync(join(control, 'control'), controlFile(version, architecture, Number.parseInt(stdout.toString(), 10)));
  const file = join(dist, `kpatch_${version}-1_${architecture}.deb`);
  const env = { SOURCE_DATE_EPOCH: String(epoch) };
  await setTimes(stage, epoch);
  await runOk('find', [stage, '-type', 'd', '-exec', 'chmod', '755', '{}', '+']);
  await runOk('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z10', '--build', stage, file], { env });
  return file;
}

function controlFile(version: string, architecture: string, size: number): string {
  return `Package: kpatch
Version: ${version}-1
Architecture: ${architecture}
Maintainer: The kpatch project <root@localhost>
Installed-Size: ${size}
Depends: libc6 (>= 2.28), libstdc++6, libatomic1, kmod, util-linux
Recommends: systemd, init-system-helpers, bubblewrap
Suggests: qemu-system-x86, gcc, make
Section: kernel
Priority: optional
Description: live patches for the Linux kernel
 kpatch makes a live patch from a source patch, proves it on the target kernel,
 loads it without a reboot, keeps it through reboots and replaces it by its
 successor. The executable needs no Node.
`;
}
