/** The .deb of the program itself, and what every .deb needs. */
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
  const stage = stageOf(request);
  // On a merged /usr, as Debian has had since 12, units may be in either; before that only /lib was read.
  mkdirSync(join(stage, 'usr/bin'), { recursive: true });
  symlinkSync('../sbin/kpatch', join(stage, 'usr/bin/kpatch'));
  mkdirSync(join(stage, 'lib'), { recursive: true });
  renameSync(join(stage, 'usr/lib/systemd'), join(stage, 'lib/systemd'));
  const control = (size: number): string => controlFile(request.version, architecture, size);
  const conffiles = ['/etc/needrestart/conf.d/kpatch.conf'];
  return packDeb(request, stage, { name: 'kpatch', architecture, control, conffiles, scripts: 'packaging/deb' });
}

/** A copy of the tree, for what only a .deb has. */
export function stageOf({ tree, work }: PackageRequest): string {
  const stage = join(work, 'deb');
  cpSync(tree, stage, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  return stage;
}

export interface DebRecord {
  readonly name: string;
  readonly architecture: string;
  /** The control file, from the size in KiB. */
  readonly control: (size: number) => string;
  readonly conffiles: readonly string[];
  /** The folder with the maintainer's scripts, relative to the checkout. */
  readonly scripts: string;
}

/** Packs the stage; gives the path of the package. Errors: `tool-missing`, `tool-failed`. */
export async function packDeb(
  { dist, version, epoch }: PackageRequest,
  stage: string,
  { name, architecture, control, conffiles, scripts }: DebRecord,
): Promise<string> {
  const folder = join(stage, 'DEBIAN');
  mkdirSync(folder);
  for (const script of readdirSync(join(root, scripts))) {
    copyFileSync(join(root, scripts, script), join(folder, script));
    chmodSync(join(folder, script), script === 'triggers' ? 0o644 : 0o755);
  }
  if (conffiles.length > 0) writeFileSync(join(folder, 'conffiles'), conffiles.map((path) => `${path}\n`).join(''));
  const { stdout } = await runOk('du', ['-sk', '--apparent-size', stage]);
  writeFileSync(join(folder, 'control'), control(Number.parseInt(stdout.toString(), 10)));
  const file = join(dist, `${name}_${version}-1_${architecture}.deb`);
  await setTimes(stage, epoch);
  await runOk('find', [stage, '-type', 'd', '-exec', 'chmod', '755', '{}', '+']);
  await runOk('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z10', '--build', stage, file], {
    env: { SOURCE_DATE_EPOCH: String(epoch) },
  });
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
