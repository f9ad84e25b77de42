/** A dnf repository with a kernel of a few functions, made by the test: packages of a spec, a dnf configuration of its own. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Files, writeFiles } from './fake-distribution.ts';

export interface FakeRpms {
  readonly spec: string;
  /** What the packages install: Source1 of the spec is a tar archive of it. */
  readonly tree: Files;
  /** The source of the kernel; the spec names it `ARCHIVE.tar.xz`. */
  readonly archive: string;
  readonly source: Files;
  /** Further sources: patches. */
  readonly sources: Files;
  /** Macros of the distribution release that builds the packages. */
  readonly macros?: Readonly<Record<string, string>>;
}

/** Builds the packages, the repository and `dnf.conf` in a folder; gives the arguments for dnf. */
export function makeRepository(
  folder: string,
  { spec, tree, archive, source, sources, macros = {} }: FakeRpms,
): string[] {
  const at = (...parts: string[]): string => join(folder, ...parts);
  const below = (name: string, files: Files): Files =>
    Object.fromEntries(Object.entries(files).map(([file, content]) => [`${name}/${file}`, content]));
  writeFiles(at('source'), below(archive, source));
  writeFiles(at('tree'), tree);
  writeFiles(at('rpm'), { 'SPECS/kernel.spec': spec, ...below('SOURCES', sources) });
  execFileSync('tar', ['-cJf', at('rpm/SOURCES', `${archive}.tar.xz`), '-C', at('source'), archive]);
  execFileSync('tar', ['-cf', at('rpm/SOURCES/tree.tar'), '-C', at('tree'), '.']);
  const own = Object.entries(macros).map(([name, text]) => `${name} ${text}`);
  const defines = [
    ...own,
    `_topdir ${at('rpm')}`,
    '_build_id_links none',
    '__os_install_post %{nil}',
    'debug_package %{nil}',
  ];
  const args = ['-ba', '--quiet', '--target', 'x86_64', ...defines.flatMap((text) => ['--define', text])];
  execFileSync('rpmbuild', [...args, at('rpm/SPECS/kernel.spec')], { stdio: 'pipe' });
  mkdirSync(at('repository'));
  for (const kind of ['RPMS/x86_64', 'SRPMS']) {
    for (const name of readdirSync(at('rpm', kind))) execFileSync('cp', [at('rpm', kind, name), at('repository')]);
  }
  execFileSync('createrepo_c', ['-q', at('repository')]);
  const folders = { cachedir: 'dnf-cache', logdir: 'log', persistdir: 'persist', reposdir: 'none', varsdir: 'none' };
  const settings = Object.entries({ ...folders, pluginconfpath: 'none' }).map(([key, name]) => `${key}=${at(name)}\n`);
  writeFiles(folder, {
    'dnf.conf': `[main]\n${settings.join('')}[test]\nname=test\nbaseurl=file://${at('repository')}\ngpgcheck=0\n`,
  });
  return ['--config', at('dnf.conf')];
}
