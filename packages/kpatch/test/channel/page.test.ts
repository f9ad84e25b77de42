/** The channel's page in a real browser: light and dark, wide and on a phone, by keyboard, without script, long past its day. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { feed } from '#kpatch/channel/repository/page/feed.ts';
import { page } from '#kpatch/channel/repository/page/page.ts';
import { withPage } from '../prove/browser.ts';
import { day, sampleKernels, samplePublication } from './sample-publication.ts';

const axe = readFileSync(join(import.meta.dirname, '../../../../node_modules/axe-core/axe.min.js'), 'utf8');

function written(folder: string, now = new Date()): string {
  const file = join(folder, `page-${now.getTime()}.html`);
  writeFileSync(file, page(samplePublication(now)));
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
        `[...document.querySelectorAll('tr.kernel td:nth-child(2) .state')].map((e) => e.textContent.replace(/\\d+/, 'N'))`,
      );
      assert.deepEqual(states, ['ends in N days', 'supported', 'supported', 'ended']);
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
      return [...document.querySelectorAll('tr.kernel:not([hidden]) th')].map((e) => e.firstChild.data.trim()).join() + ' ' + document.getElementById('found').textContent;
    })()`);
    assert.equal(shown, '6.1.0-54-amd64,6.1.0-50-amd64 2 kernels');
  });
});

test('a copy that is older than it may be says so by itself, and every window has ended', async () => {
  using folder = temporaryFolder('kpatch-test-');
  await withPage(written(folder.path, new Date(Date.now() - 200 * day)), 1000, false, async (browser) => {
    assert.equal(await browser.evaluate(`document.getElementById('stale').hidden`), false);
    assert.equal(await browser.evaluate(`document.querySelectorAll('tr.kernel td:nth-child(2) .state.bad').length`), 4);
  });
});

test('an ended kernel is folded and never offered to reboot into; a window that has not ended is not called ended', () => {
  const now = new Date('2026-11-30T12:00:00Z');
  const text = page(samplePublication(now));
  assert.match(text, /<details id="ended"><summary>1 kernel without support<\/summary>/);
  const intoEnded = text.match(/reboot into (?:6\.1\.0-50-amd64)/g);
  assert.equal(intoEnded, null);
  const ended = text.slice(text.indexOf('id="ended"'));
  assert.match(ended, /reboot into 6\.1\.0-56-amd64 now/);
  assert.doesNotMatch(ended, /reboot by|not yet/);
  const late = samplePublication(new Date(now.getTime() + 400 * day), sampleKernels(now));
  assert.doesNotMatch(page(late), /reboot into \d/, 'all have ended');
  assert.match(page(late), /No kernel is supported/);
});

test('the feed is well-formed, escapes what the records say, and has one entry for each patch', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const text = feed(samplePublication(new Date()));
  await withPage(written(folder.path), 1000, false, async (browser) => {
    const read = `new DOMParser().parseFromString(${JSON.stringify(text)}, 'text/xml')`;
    assert.equal(await browser.evaluate(`${read}.querySelector('parsererror')`), null);
    assert.equal(await browser.evaluate(`${read}.querySelectorAll('entry').length`), 3);
  });
  assert.match(text, /<title>Live patch 2-1 for 6\.1\.0-56-amd64<\/title>/);
});
