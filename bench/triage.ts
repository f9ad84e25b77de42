/**
 * Triage of 3,000 CVEs for four kernels, without compiling: answers by version, by code and by configuration. The records are
 * made, with paths of the prepared kernels' own sources and a fix for each that is searched for in the source. With fewer than
 * four prepared kernels some are asked twice.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Advisory } from '#kpatch/advisory/record.ts';
import { defaultSelection } from '#kpatch/advisory/selection.ts';
import { readDocument } from '#kpatch/advisory/sources.ts';
import { countAnswers } from '#kpatch/advisory/triage/answer.ts';
import type { Fix, KernelCode } from '#kpatch/advisory/triage/kernel.ts';
import { triageAll } from '#kpatch/advisory/triage/triage.ts';
import { preparedCode } from '#kpatch/cli/cve/prepared-code.ts';
import { cachedReleases } from '#kpatch/prepare/cache.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { inspectCached } from '#kpatch/prepare/manifest.ts';
import { cveRecord } from '../packages/kpatch/test/advisory/records.ts';

const CVES = 3000;
const KERNELS = 4;

const states = await Promise.all(cachedReleases().map(inspectCached));
const facts = states.flatMap((found) => (found.state === 'complete' ? [new KernelFacts(found.kernel)] : []));
if (facts.length === 0) {
  console.log('triage: no kernel is prepared; run `kpatch kernel add` first');
} else {
  const files = [...(await facts[0]!.objects()).keys()].map((object) => object.replace(/\.o$/, '.c'));
  const advisories = new Map<string, Advisory>();
  const fixes = new Map<string, Fix>();
  const tree = facts[0]!.kernel.paths.tree;
  for (let at = 0; advisories.size < CVES; at++) {
    const id = `CVE-2026-${10_000 + at}`;
    const path = files[(at * 7919) % files.length]!;
    // Every fourth file has a made name, as of a driver that the kernel lacks.
    const file = at % 4 === 3 ? path.replace(/\.c$/, '-lacking.c') : path;
    const record = cveRecord({ id, files: [file], from: '5.4', fixedVersions: ['6.1.300', '6.6.300', '7.9'] });
    for (const one of readDocument(record, 'made')) advisories.set(one.id, one);
    fixes.set(id, fixIn(tree, file));
  }
  const start = performance.now();
  for (let at = 0; at < KERNELS; at++) {
    const own = facts[at % facts.length]!;
    const code: KernelCode = await preparedCode(own);
    const { release, sourceVersion } = own.kernel;
    const began = performance.now();
    const triaged = triageAll(
      advisories,
      {
        release,
        scheme: 'deb',
        version: sourceVersion,
        code,
        changelogs: [],
        live: new Map(),
        fixes: (cve) => [fixes.get(cve)!],
      },
      defaultSelection,
    );
    const counts = Object.entries(countAnswers(triaged)).map(([word, count]) => `${count} ${word}`);
    console.log(`${release.padEnd(28)} ${((performance.now() - began) / 1000).toFixed(2)} s  ${counts.join(', ')}`);
  }
  const seconds = (performance.now() - start) / 1000;
  console.log(`triage of ${CVES} CVEs for ${KERNELS} kernels: ${seconds.toFixed(1)} s (goal: 60 s)`);
}

/** A fix that would change the middle of a file. */
function fixIn(tree: string, path: string): Fix {
  let lines: string[] = [];
  try {
    lines = readFileSync(join(tree, path), 'latin1').split('\n');
  } catch {
    // A file that this kernel lacks.
  }
  const middle = lines.slice(lines.length / 2, lines.length / 2 + 7);
  const after = [...middle.slice(0, 3), '\tif (unlikely(length > limit))', '\t\treturn -EINVAL;', ...middle.slice(3)];
  return { name: 'a fix', hunks: [{ path, before: middle, after }] };
}
