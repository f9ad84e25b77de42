/** A build parses each object once: however many stages look at a file, it is counted one time. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { runOk } from '#kpatch/base/run.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { sourcePatch } from '../source/source-patch.ts';
import { stockKernel } from '../vm/stock-kernel.ts';

const kpatch = join(import.meta.dirname, '../../../../bin/kpatch');

/** Beside the units: the kernel image, a module of the kernel (for its vermagic), the linked and the finished module. */
const OTHERS = 4;

test('both versions of each unit, and what every build reads, are parsed once', async () => {
  using folder = temporaryFolder('kpatch-parsed-');
  const { release } = await stockKernel('6.1');
  const { paths } = await prepareKernel(release, { report: silentReporter() });
  const edits = {
    'fs/proc/meminfo.c': (text: string): string => text.replace('"VmallocChunk:   ", 0ul', '"VmallocChunk:   ", 9ul'),
    'fs/proc/loadavg.c': (text: string): string =>
      text.replace('nr_running(), nr_threads', 'nr_running() + 1, nr_threads'),
  };
  const units = Object.entries(edits);
  for (let count = 1; count <= units.length; count++) {
    const patch = join(folder.path, 'fix.patch');
    writeFileSync(patch, sourcePatch(paths.tree, Object.fromEntries(units.slice(0, count))));
    const { stdout } = await runOk(kpatch, [
      'build',
      patch,
      '-k',
      release,
      '-o',
      join(folder.path, 'fix.ko'),
      '--json',
    ]);
    const { parsed } = JSON.parse(stdout.toString()) as { parsed: number };
    assert.equal(parsed, 2 * count + OTHERS);
  }
});
