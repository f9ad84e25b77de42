/** Makes an `.rpm` with rpmbuild. */
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { temporaryFolder } from '../../base/files.ts';
import { runOk } from '../../base/run.ts';
import { type PackageSpec, packageTime } from './spec.ts';
import { stage } from './staging.ts';

/** Nothing is stripped, no host name, no time of the build, no build-id links: the same spec gives the same bytes. */
const macros: Readonly<Record<string, string>> = {
  __os_install_post: '%{nil}',
  debug_package: '%{nil}',
  _build_id_links: 'none',
  _buildhost: 'localhost',
  _binary_payload: 'w6.xzdio',
  use_source_date_epoch_as_buildtime: '1',
  clamp_mtime_to_source_date_epoch: '1',
  source_date_epoch_from_changelog: '0',
};

/** Writes the package to `file`. Errors: `tool-missing`, `tool-failed`. */
export async function buildRpm(spec: PackageSpec, file: string): Promise<void> {
  using folder = temporaryFolder('kpatch-rpm-');
  const epoch = packageTime();
  const staging = join(folder.path, 'staging');
  stage(staging, spec.files, epoch);
  for (const name of ['top', 'db']) mkdirSync(join(folder.path, name));
  const specFile = join(folder.path, 'package.spec');
  writeFileSync(specFile, specText(spec, staging));
  const defines = { ...macros, _topdir: join(folder.path, 'top'), _dbpath: join(folder.path, 'db') };
  const options = Object.entries(defines).flatMap(([name, value]) => ['-D', `${name} ${value}`]);
  const target = ['--target', spec.arch, '--buildroot', join(folder.path, 'buildroot')];
  await runOk('rpmbuild', ['-bb', '--quiet', ...target, ...options, specFile], {
    env: { SOURCE_DATE_EPOCH: String(epoch), LC_ALL: 'C' },
  });
  const built = join(folder.path, 'top', 'RPMS', spec.arch);
  const [name] = readdirSync(built);
  if (name === undefined) throw failure('internal', { problem: 'rpmbuild made no package' });
  copyFileSync(join(built, name), file);
}

function specText(spec: PackageSpec, staging: string): string {
  const files = [...spec.files.keys()]
    .sort()
    .map((path) => (spec.configFiles.includes(path) ? `%config(noreplace) ${path}` : path));
  return [
    `Name: ${spec.rpmName}`,
    `Version: ${spec.version}`,
    `Release: ${spec.rpmRelease}`,
    `Summary: ${spec.summary}`,
    'License: GPL-2.0-or-later',
    'AutoReqProv: no',
    ...spec.depends.map((name) => `Requires: ${name}`),
    '%description',
    ...spec.description,
    '%install',
    'mkdir -p %{buildroot}',
    `cp -a ${staging}/. %{buildroot}/`,
    '%files',
    ...files,
    '',
  ].join('\n');
}
