/** The factory's page: in a real browser, over HTTP, with hostile texts, and with 10,000 CVEs for 20 kernels. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Answer, TriagedCve } from 'kpatch/advisories';
import { Overview, overviewPage } from '#factory/page/page.ts';
import { pageServer } from '#factory/page/server.ts';
import { type KernelReport, kernelReport } from '#factory/report/outcomes.ts';
import { withPage } from '../../kpatch/test/prove/browser.ts';

const axe = readFileSync(join(import.meta.dirname, '../../../node_modules/axe-core/axe.min.js'), 'utf8');
const commit = (id: string) => ({ id: id.repeat(40), subject: `change ${id}`, position: 0, fixes: [], cves: [] });

function triaged(cve: string, answer: Answer, title = 'a flaw'): TriagedCve {
  const evidence = [{ kind: 'code', by: 'the source', text: '<b>why</b>' }] as const;
  return {
    cve,
    title,
    answer,
    evidence,
    objects: [],
    severity: 'important',
    exploited: false,
    selected: true,
    selection: 'x',
  };
}

function report(release = '6.1.0-47-amd64'): KernelReport {
  const cves = [
    triaged('CVE-2026-1001', 'open', '<script>alert(1)</script> & "quotes"'),
    triaged('CVE-2026-1002', 'open'),
    triaged('CVE-2026-1003', 'unknown'),
    triaged('CVE-2026-1004', 'fixed'),
    triaged('CVE-2026-1005', 'not in this configuration'),
    triaged('CVE-2026-1006', 'open'),
    { ...triaged('CVE-2026-1007', 'open'), selected: false },
  ];
  const module = { name: 'm', digest: 'd', functions: ['f'] };
  return kernelReport(release, cves, {
    series: {
      patches: [],
      dropped: [{ commit: commit('b'), cves: ['CVE-2026-1002'], reason: 'the build refuses it' }],
      without: [{ cve: 'CVE-2026-1003', reason: 'no commit' }],
    },
    build: {
      series: 's',
      version: 2,
      module,
      cves: ['CVE-2026-1001', 'CVE-2026-1006'],
      patches: [{ commit: 'a'.repeat(40), subject: '<i>x</i>', cves: ['CVE-2026-1001'] }],
      dropped: [],
    },
    proof: { module: 'd', verdict: 'proven', reasons: [] },
    published: { module: 'old', version: 1, cves: ['CVE-2026-1001'], at: '2026-11-30T10:00:00Z' },
  });
}

test('outcomes: each CVE has one, and each stage of the funnel is part of the one before', () => {
  const { cves, funnel } = report();
  assert.deepEqual(
    cves.map(({ outcome }) => outcome),
    ['published', 'left out', 'left out', 'fixed', 'not in this configuration', 'proven', 'open'],
  );
  assert.deepEqual(funnel, { named: 7, affected: 6, 'built here': 5, patched: 2, proven: 1, published: 1 });
  assert.equal(cves[1]!.reason, 'the build refuses it');
});

async function served(work: (url: string) => Promise<void>): Promise<void> {
  const server = pageServer(async () => [report()]);
  try {
    await work(await server.listen({ host: '127.0.0.1', port: 0 }));
  } finally {
    await server.close();
  }
}

test('over HTTP: filters, search, one CVE, one kernel, JSON, what is missing', () =>
  served(async (url) => {
    const get = async (path: string): Promise<[number, string]> => {
      const answer = await fetch(url + path);
      return [answer.status, await answer.text()];
    };
    const [, all] = await get('/');
    assert.ok(!all.includes('<script>') && all.includes('&lt;script&gt;'));
    assert.equal((await get('/?outcome=published'))[1].match(/<a href="\/cve\//g)?.length, 1);
    assert.equal((await get('/?search=cve-2026-1005'))[1].match(/<a href="\/cve\//g)?.length, 1);
    for (const odd of [
      '/?page=-3',
      '/?page=1e9',
      '/?outcome=x&outcome=y',
      '/?search=%00%22%3E%3Cimg%20src=x%3E',
      '/?kernel=none',
    ])
      assert.equal((await get(odd))[0], 200, odd);
    assert.match((await get('/cve/CVE-2026-1001'))[1], /&lt;b&gt;why/);
    assert.match((await get('/kernel/6.1.0-47-amd64'))[1], /&lt;i&gt;x/);
    assert.equal((await get('/cve/CVE-2026-9999'))[0], 404);
    assert.equal((await get('/kernel/..%2f..%2fetc'))[0], 404);
    assert.equal((await get('/none'))[0], 404);
    assert.equal(JSON.parse((await get('/report.json'))[1]).kernels[0].funnel.named, 7);
  }));

for (const [width, dark] of [
  [1280, false],
  [390, true],
] as const) {
  test(`${width} pixels wide, ${dark ? 'dark' : 'light'}: axe finds nothing, nothing overflows`, () =>
    served(async (url) => {
      for (const path of ['/', '/cve/CVE-2026-1001', '/kernel/6.1.0-47-amd64']) {
        await withPage(url + path, width, dark, async (browser) => {
          assert.equal(await browser.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, path);
          await browser.evaluate(axe);
          const found = await browser.evaluate(
            `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ' ' + nodes[0].html))`,
          );
          assert.deepEqual(found, [], path);
        });
      }
    }));
}

test('10,000 CVEs for 20 kernels: a page takes less than 300 ms', () => {
  const kernels = Array.from({ length: 20 }, (_, at) => {
    const cves = Array.from({ length: 10_000 }, (_, n) =>
      triaged(`CVE-2026-${10_000 + n}`, n % 3 === 0 ? 'open' : 'fixed'),
    );
    return kernelReport(`6.1.0-${at}-amd64`, cves, {
      series: undefined,
      build: undefined,
      proof: undefined,
      published: undefined,
    });
  });
  const overview = new Overview(kernels);
  const best = Math.min(
    ...Array.from({ length: 5 }, () => {
      const start = performance.now();
      overviewPage(overview, { search: 'flaw', outcome: 'open', kernel: '', page: 7 }).toString();
      return performance.now() - start;
    }),
  );
  assert.ok(best < 300, `${best} ms`);
});
