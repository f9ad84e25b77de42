/** The newest stock kernel that apt offers in a series, and an older one whose source it offers too. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compareDeb } from '#kpatch/advisory/version.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { cacheRoot } from '#kpatch/base/workspace.ts';

export interface StockRelease {
  readonly release: string;
  readonly version: string;
}

/** The newest first; of the older ones that which is prepared already, else the next. */
export async function newestKernels(series = '6.1'): Promise<[StockRelease, StockRelease]> {
  const sources = await run('apt-cache', ['madison', `linux-source-${series}`]);
  const offered = new Set(
    sources.stdout
      .toString()
      .split('\n')
      .flatMap((line) => line.split('|')[1]?.trim() ?? []),
  );
  const pattern = `^linux-image-${series.replace('.', '\\.')}\\.[0-9]+-[0-9]+-amd64$`;
  const found = await runOk('apt-cache', ['search', '--names-only', pattern]);
  const names = found.stdout
    .toString()
    .split('\n')
    .flatMap((line) => line.split(' ')[0] || []);
  const kernels: StockRelease[] = [];
  for (const name of names) {
    const { stdout } = await runOk('apt-cache', ['show', '--no-all-versions', name]);
    const version = /^Version: (.*)$/m.exec(stdout.toString())?.[1] ?? '';
    if (offered.has(version)) kernels.push({ release: name.replace('linux-image-', ''), version });
  }
  kernels.sort((a, b) => compareDeb(b.version, a.version));
  const [newest, ...others] = kernels;
  const older = others.filter(({ version }) => version !== newest?.version);
  const ready = older.find(({ release }) => existsSync(join(cacheRoot(), 'kernels', release))) ?? older[0];
  if (newest === undefined || ready === undefined)
    throw new Error(`apt offers no two kernels of ${series} with their sources`);
  return [newest, ready];
}
