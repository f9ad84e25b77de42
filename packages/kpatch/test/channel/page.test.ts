/** The channel's page in a real browser: light and dark, wide and on a phone, by keyboard, without script, long past its day. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { type ChannelConfig, channelSchema } from '#kpatch/channel/repository/config.ts';
import { type ChannelKernel, kernelSchema, type PublishedPatch } from '#kpatch/channel/repository/kernel.ts';
import { page } from '#kpatch/channel/repository/page/page.ts';
import { withPage } from '../prove/browser.ts';

const day = 86_400_000;
const axe = readFileSync(join(import.meta.dirname, '../../../../node_modules/axe-core/axe.min.js'), 'utf8');

const config: ChannelConfig = {
  schema: channelSchema,
  name: 'test',
  description: 'Live patches of a test',
  url: 'https://patches.example.org/live',
  keys: ['C6C6A456CFB3B42ABC0996EB11C555894CDD60C7'],
  formerKeys: [],
  windowMonths: 6,
  validDays: 14,
  keep: 3,
  require: { proof: true, moduleSignature: false },
};

function kernel(release: string, daysAgo: number, packageVersion: string, cves: number, now: Date): ChannelKernel {
  const released = new Date(now.getTime() - daysAgo * day).toISOString().slice(0, 10);
  const list = Array.from({ length: cves }, (_, n) => ({
    id: `CVE-2026-${1000 + n}`,
    title: n === 0 ? '<script>alert(1)</script> & "quotes"' : 'tls: fix a race',
    severity: (['critical', 'important', 'moderate', 'unrated'] as const)[n % 4]!,
  }));
  const module = { name: 'm', sha256: 'a'.repeat(64), signed: true, buildId: '' };
  const record = {
    schema: 'kpatch.livepatch/1',
    kernel: release,
    arch: 'x86_64',
    version: 2,
    release: 1,
    module,
    proof: null,
    cves: list,
    withdrawn: [],
  } as const;
  const patch: PublishedPatch = { record, issued: now.toISOString(), proven: true, deb: null, rpm: null };
  return {
    schema: kernelSchema,
    release,
    arch: 'x86_64',
    distribution: 'Debian:12',
    packageVersion,
    released,
    extended: null,
    patches: cves === 0 ? [] : [patch],
  };
}

function written(folder: string, now = new Date()): string {
  const kernels = [
    kernel('6.1.0-50-amd64', 300, '6.1.170-1', 12, now),
    kernel('6.1.0-54-amd64', 165, '6.1.187-1', 9, now),
    kernel('6.1.0-56-amd64', 10, '6.1.192-1', 1, now),
    kernel('5.14.0-427.13.1.el9_4.x86_64', 90, '5.14.0-427.13.1.el9_4', 0, now),
  ];
  const file = join(folder, `page-${now.getTime()}.html`);
  writeFileSync(file, page({ config, date: now, validUntil: new Date(now.getTime() + 14 * day), kernels }));
  return pathToFileURL(file).href;
}

for (const [width, dark] of [
  [1280, false],
  [400, true],
] as const) {
  test(`${width} pixels wide, ${dark ? 'dark' : 'light'}: no finding, no overflow, nothing leaves the page`, async () => {
    using folder = temporaryFolder('kpatch-test-');
    await withPage(written(folder.path), width, dark, async (browser) => {
      await browser.evaluate(`document.querySelectorAll('details').forEach((d) => (d.open = true))`);
      await browser.evaluate(`${axe}; 0`);
      const findings = await browser.evaluate<{ id: string; nodes: string[] }[]>(
        `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html) })))`,
      );
      assert.deepEqual(findings, []);
      assert.ok((await browser.evaluate<number>('document.documentElement.scrollWidth - innerWidth')) <= 0);
      assert.deepEqual(browser.messages, []);
      assert.deepEqual(
        browser.requests.filter((url) => !url.startsWith('file:') && !url.startsWith('data:')),
        [],
      );
      const states = await browser.evaluate<string[]>(
        `[...document.querySelectorAll('article .state')].map((e) => e.textContent.replace(/\\d+/, 'N'))`,
      );
      assert.deepEqual(states, ['ended', 'ends in N days', 'supported', 'supported']);
    });
  });
}

test('finding a CVE hides the other kernels and says how many are left', async () => {
  using folder = temporaryFolder('kpatch-test-');
  await withPage(written(folder.path), 1000, false, async (browser) => {
    const shown = await browser.evaluate<string>(`(() => {
      const find = document.getElementById('find');
      find.value = 'cve-2026-1008';
      find.dispatchEvent(new Event('input'));
      return [...document.querySelectorAll('article:not([hidden]) h3')].map((e) => e.firstChild.data.trim()).join() + ' ' + document.getElementById('found').textContent;
    })()`);
    assert.equal(shown, '6.1.0-50-amd64,6.1.0-54-amd64 2 kernels');
  });
});

test('a copy that is older than it may be says so by itself, and every window has ended', async () => {
  using folder = temporaryFolder('kpatch-test-');
  await withPage(written(folder.path, new Date(Date.now() - 200 * day)), 1000, false, async (browser) => {
    assert.equal(await browser.evaluate(`document.getElementById('stale').hidden`), false);
    assert.equal(await browser.evaluate(`document.querySelectorAll('article.ended').length`), 4);
  });
});
