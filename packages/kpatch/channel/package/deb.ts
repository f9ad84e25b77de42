/** Makes a `.deb` with dpkg-deb. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../../base/files.ts';
import { runOk } from '../../base/run.ts';
import { debArch } from './name.ts';
import { type PackageSpec, packageTime } from './spec.ts';
import { stage } from './staging.ts';

/** Writes the package to `file`. The same spec gives the same bytes. Errors: `tool-missing`, `tool-failed`. */
export async function buildDeb(spec: PackageSpec, file: string): Promise<void> {
  using folder = temporaryFolder('kpatch-deb-');
  const epoch = packageTime();
  const root = join(folder.path, 'root');
  stage(root, spec.files, epoch);
  const control = join(root, 'DEBIAN');
  mkdirSync(control, { mode: 0o755 });
  const put = (name: string, content: string): void => {
    writeFileSync(join(control, name), content, { mode: 0o644 });
    chmodSync(join(control, name), 0o644);
    utimesSync(join(control, name), epoch, epoch);
  };
  put('control', controlFile(spec));
  put('md5sums', md5sums(spec.files));
  if (spec.configFiles.length > 0) put('conffiles', `${spec.configFiles.join('\n')}\n`);
  chmodSync(root, 0o755);
  for (const path of [control, root]) utimesSync(path, epoch, epoch);
  await runOk('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', root, file], {
    env: { SOURCE_DATE_EPOCH: String(epoch) },
  });
}

function controlFile(spec: PackageSpec): string {
  const bytes = [...spec.files.values()].reduce((sum, content) => sum + Math.ceil(content.length / 1024), 0);
  return [
    `Package: ${spec.debName}`,
    `Version: ${spec.version}-${spec.debRelease}`,
    `Architecture: ${debArch(spec.arch)}`,
    'Maintainer: The channel that this package comes from <root@localhost>',
    `Installed-Size: ${bytes}`,
    ...(spec.depends.length === 0 ? [] : [`Depends: ${spec.depends.join(', ')}`]),
    'Section: kernel',
    'Priority: optional',
    `Description: ${spec.summary}`,
    ...spec.description.map((line) => ` ${line}`),
    '',
  ].join('\n');
}

function md5sums(files: PackageSpec['files']): string {
  const lines = [...files].map(
    ([path, content]) => `${createHash('md5').update(content).digest('hex')}  ${path.replace(/^\//, '')}`,
  );
  return `${lines.sort().join('\n')}\n`;
}
