/** The factory's page: in a real browser, over HTTP, with hostile texts, and with 10,000 CVEs for 20 kernels. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from 'kpatch/parts';
import { exportPages } from '#factory/page/export.ts';
import { Overview, overviewPage } from '#factory/page/page.ts';
import { pageServer } from '#factory/page/server.ts';
import { kernelReport } from '#factory/report/outcomes.ts';
import { waitOf, waitsOf, waitText } from '#factory/report/wait.ts';
import { withPage } from '../../kpatch/test/prove/browser.ts';
import { paths, report, texts, triaged } from './page-sample.ts';

const axe = readFileSync(join(import.meta.dirname, '../../../node_modules/axe-core/axe.min.js'), 'utf8');
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
  using folder = temporaryFolder('kpatch-page-');
  const server = pageServer(async () => [report()], await texts(folder.path));
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
    assert.match(all, /half within 26 hours, nine of ten within 26 hours/);
    assert.match((await get('/cve/CVE-2026-1001'))[1], /since 2026-11-30, 26 hours after the record/);
    const kernel = '/kernel/6.1.0-47-amd64';
    assert.match((await get('/cve/CVE-2026-1002'))[1], new RegExp(`href="${kernel}/refusal/b{40}"`));
    assert.match(
      (await get(`${kernel}/refusal/${'b'.repeat(40)}`))[1],
      /Refused by the build.*&lt;script&gt;.*undeclared/s,
    );
    const patch = (await get(`${kernel}/patch/${'a'.repeat(40)}`))[1];
    assert.match(patch, /a &lt;rule&gt;.*\+&lt;\/pre&gt;/s);
    assert.deepEqual(await get(`${kernel}/report`), [200, '<p>held</p>']);
    for (const none of ['refusal/x', 'patch/x', `refusal/${'c'.repeat(40)}`, 'refusal/__proto__', 'patch/..%2f..'])
      assert.equal((await get(`${kernel}/${none}`))[0], 404, none);
    assert.equal((await get('/kernel/x/report'))[0], 404);
    assert.equal(JSON.parse((await get('/report.json'))[1]).kernels[0].funnel.named, 7);
  }));

test('as files, every link leads to one', async () => {
  using folder = temporaryFolder('kpatch-page-');
  await exportPages(folder.path, [report()], await texts(join(folder.path, 'store')));
  const names = readdirSync(folder.path, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.html'),
  );
  assert.equal(names.length, 1 + 7 + 1 + 3);
  for (const name of names) {
    const links = readFileSync(join(folder.path, name), 'utf8').matchAll(/href="(?!https:|#)([^"]+)"/g);
    for (const [, link] of links) assert.ok(existsSync(join(folder.path, name, '..', link!)), `${name}: ${link}`);
  }
});

test('times from the record to the live patch: the middle, and nine of ten', () => {
  const hour = 3_600_000;
  assert.equal(waitsOf([]), undefined);
  assert.deepEqual(waitsOf([3, 1, 2]), { count: 3, median: 2, ninetieth: 3 });
  assert.equal(waitOf('2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z'), undefined, 'the patch was first');
  assert.equal(waitOf(undefined, '2026-01-01T00:00:00Z'), undefined);
  assert.deepEqual(
    [0, 1, 47, 48, 72].map((hours) => waitText(hours * hour)),
    ['less than an hour', '1 hour', '47 hours', '2 days', '3 days'],
  );
});

for (const [width, dark] of [
  [1280, false],
  [390, true],
  [390, false],
  [1280, true],
] as const) {
  test(`${width} pixels wide, ${dark ? 'dark' : 'light'}: axe finds nothing, nothing overflows`, () =>
    served(async (url) => {
      for (const path of paths) {
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

test('10,000 CVEs for 20 kernels: a page takes less than half a second of a processor', () => {
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
      const start = process.cpuUsage();
      overviewPage(overview, { search: 'flaw', outcome: 'open', kernel: '', page: 7 }).toString();
      return process.cpuUsage(start).user / 1000;
    }),
  );
  assert.ok(best < 500, `${best} ms`);
});
