/**
 * A Debian archive in small, as the machine of the demo has one beside the channel: the stock package of a kernel,
 * unchanged, and what it depends on. An initramfs is of no use to a machine that QEMU boots, so an empty package is in for
 * the tool that makes one.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { silentReporter } from '#kpatch/base/report.ts';
import { runOk } from '#kpatch/base/run.ts';
import { cacheRoot } from '#kpatch/base/workspace.ts';
import { machineArchive } from '#kpatch/distro/debian/archive.ts';
import { packagesFolder } from '#kpatch/prepare/cache.ts';
import type { StockRelease } from './kernels.ts';

const initramfsTool = `Package: demo-initramfs-tool
Version: 1
Architecture: all
Maintainer: Demo <demo@example.org>
Provides: linux-initramfs-tool
Description: stands in for what makes an initramfs
`;

/** Makes the archive in `folder`, signed by `key`. Errors: `kernel-download`, `tool-missing`, `tool-failed`. */
export async function kernelArchive(folder: string, { release, version }: StockRelease, key: string): Promise<void> {
  mkdirSync(folder);
  const context = { report: silentReporter(), packages: packagesFolder(), cache: cacheRoot() };
  for (const name of [`linux-image-${release}`, 'linux-base']) {
    const stanzas = await machineArchive.show(name);
    const stanza = name === 'linux-base' ? stanzas[0] : stanzas.find(({ Version }) => Version === version);
    if (stanza === undefined) throw new Error(`apt knows no package ${name}`);
    const file = await machineArchive.fetch(stanza, context);
    copyFileSync(file, join(folder, basename(file)));
  }
  const tree = `${folder}-tool`;
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true });
  writeFileSync(join(tree, 'DEBIAN/control'), initramfsTool);
  await runOk('dpkg-deb', ['--root-owner-group', '--build', tree, join(folder, 'demo-initramfs-tool_1_all.deb')]);
  const list = async (what: string): Promise<void> => {
    const { stdout } = await runOk('apt-ftparchive', [what.toLowerCase(), '.'], { cwd: folder });
    writeFileSync(join(folder, what), stdout);
  };
  await list('Packages');
  await list('Release');
  await runOk('gpg', ['--batch', '--yes', '-u', key, '-o', 'InRelease', '--clearsign', 'Release'], { cwd: folder });
}

/** The machine's source of that archive, for apt's `sources.list.d`. */
export function archiveSource(url: string, armoredKey: string): string {
  const lines = readFileSync(armoredKey, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => ` ${line === '' ? '.' : line}`);
  return `Types: deb\nURIs: ${url}\nSuites: ./\nSigned-By:\n${lines.join('\n')}\n`;
}
