/**
 * `make screenshots`: the proof report and the channel page in every state, at three widths, light and dark, into
 * docs/images. They are looked at when the design changes, and kept so that a change shows.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { page } from '#kpatch/channel/repository/page/page.ts';
import type { Proof } from '#kpatch/module/proof.ts';
import { reportPage } from '#kpatch/prove/report/page.ts';
import {
  day,
  manyKernels,
  sampleKernels,
  samplePublication,
} from '../packages/kpatch/test/channel/sample-publication.ts';
import { withPage } from '../packages/kpatch/test/prove/browser.ts';
import { sampleFacts, sampleProof } from '../packages/kpatch/test/prove/sample-proof.ts';

const images = join(import.meta.dirname, '../docs/images');
const widths = [390, 768, 1280] as const;
const now = new Date('2026-11-30T12:00:00Z');
const repeat = 'kpatch prove livepatch_fix.ko --full';

/** A proof with many checks in many boots, and a long console. */
function huge(): Proof {
  const proof = sampleProof('proven');
  const checks = Array.from({ length: 120 }, (_, n) => {
    const like = proof.checks[n % proof.checks.length]!;
    return { ...like, check: `boot-${n % 6}/check-${n}`, boot: `boot-${n % 6}`, outcome: 'held' as const };
  });
  const boots = Array.from({ length: 6 }, (_, n) => ({
    ...proof.boots[0]!,
    boot: `boot-${n}`,
    title: `the stock kernel, boot ${n + 1} of 6, with a title that is long enough to need a second line on a phone`,
    console: 'A line of the console.\n'.repeat(400),
  }));
  return { ...proof, checks, boots };
}

function empty(): Proof {
  return { ...sampleProof('not proven'), checks: [], boots: [], reasons: ['the virtual machine did not start'] };
}

const report = (proof: Proof): string => reportPage(proof, sampleFacts(), repeat);
const noFacts = { functions: [], patches: [] };

const states: Readonly<Record<string, () => string>> = {
  'report-proven': () => report(sampleProof('proven')),
  'report-failed': () => report(sampleProof('not proven')),
  'report-empty': () => reportPage(empty(), noFacts, repeat),
  'report-huge': () => report(huge()),
  'channel-usual': () => page(samplePublication(now)),
  'channel-empty': () => page(samplePublication(now, [])),
  'channel-ended': () => page(samplePublication(new Date(now.getTime() + 400 * day), sampleKernels(now))),
  'channel-huge': () => page(samplePublication(now, manyKernels(60, 40, now))),
};

mkdirSync(images, { recursive: true });
using folder = temporaryFolder('kpatch-screenshots-');
const wanted = process.argv.slice(2);
for (const [name, write] of Object.entries(states)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const file = join(folder.path, `${name}.html`);
  writeFileSync(file, write());
  for (const width of widths) {
    for (const dark of [false, true]) {
      await withPage(pathToFileURL(file).href, width, dark, async (browser) => {
        const { data } = await browser.send('Page.captureScreenshot', { format: 'webp', quality: 60 });
        writeFileSync(
          join(images, `${name}-${width}-${dark ? 'dark' : 'light'}.webp`),
          Buffer.from(data as string, 'base64'),
        );
      });
    }
  }
  console.log(name);
}
