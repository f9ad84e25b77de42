/** The pages as static files, whose links name files. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { KernelReport } from '../report/outcomes.ts';
import type { Blobs } from '../store/blobs.ts';
import { cvePage, kernelPage, patchPage, refusalPage, reportOf } from './detail.ts';
import { Overview, overviewPage } from './page.ts';

/** Writes all pages to a folder. Errors of the file system are thrown. */
export async function exportPages(folder: string, kernels: readonly KernelReport[], blobs: Blobs): Promise<void> {
  const overview = new Overview(kernels);
  const write = (path: string, page: { toString(): string } | undefined): void => {
    if (page === undefined) return;
    const up = '../'.repeat(path.split('/').length - 1);
    const text = page
      .toString()
      .replace(/href="\/((?:cve|kernel)\/[^"]+)"/g, `href="${up}$1.html"`)
      .replaceAll('href="/"', `href="${up}index.html"`);
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const all = { search: '', outcome: '', kernel: '', page: 1 } as const;
  write('index.html', overviewPage(overview, all, overview.rows.length));
  for (const { cve } of overview.rows) write(`cve/${cve}.html`, cvePage(overview, cve));
  for (const { release, build, refusals = {} } of overview.kernels) {
    write(`kernel/${release}.html`, kernelPage(overview, release));
    write(`kernel/${release}/report.html`, await reportOf(overview, blobs, release));
    for (const { commit } of build?.patches ?? [])
      write(`kernel/${release}/patch/${commit}.html`, await patchPage(overview, blobs, release, commit));
    for (const commit of Object.keys(refusals))
      write(`kernel/${release}/refusal/${commit}.html`, await refusalPage(overview, blobs, release, commit));
  }
}
