/** The pages of the fleet server: who may see them, hostile texts, forms, 100,000 hosts; in a real browser, 390 and 1,280 px, light and dark. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setAccount, signIn } from '#fleet/access/accounts.ts';
import { commandLine } from '#fleet/access/audit.ts';
import { readRollouts } from '#fleet/rollout/store.ts';
import { withPage } from '../../../kpatch/test/prove/browser.ts';
import { TestFleet } from '../world.ts';
import { digestOf, hostile, sampleFleet, sampleRollout } from './sample.ts';

const axe = readFileSync(join(import.meta.dirname, '../../../../node_modules/axe-core/axe.min.js'), 'utf8');
const password = 'correct horse battery';
/** As many as a large fleet has: the time of a page is a promise. */
const hosts = process.env.KPATCH_SOAK === undefined ? 5000 : 100_000;

let world: TestFleet;
const rollouts: Record<'running' | 'halted', string> = { running: '', halted: '' };
const sessions: Record<string, string> = {};

before(async () => {
  world = await TestFleet.open();
  const now = Date.now();
  world.now = now;
  await sampleFleet(world.database, hosts, now, hostile);
  rollouts.running = await sampleRollout(world.database, 'running', hosts, now, hostile);
  rollouts.halted = await sampleRollout(world.database, 'halted', hosts, now, hostile);
  for (const role of ['viewer', 'operator']) {
    await setAccount(world.database, commandLine, role, role, password);
    sessions[role] = (await signIn(world.database, role, password, ''))!;
  }
  await world.fleet.rollouts.refresh();
});
after(async () => await world[Symbol.asyncDispose]());

const cookie = (role: string) => ({ cookie: `kpatch-fleet=${sessions[role]}` });
async function get(url: string, role = 'viewer'): Promise<{ status: number; text: string; location: unknown }> {
  const { statusCode, body, headers } = await world.fleet.server.inject({ url, headers: cookie(role) });
  return { status: statusCode, text: body, location: headers.location };
}
const post = async (url: string, fields: Record<string, string>, role?: string) =>
  await world.fleet.server.inject({
    method: 'POST',
    url,
    payload: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...(role === undefined ? {} : cookie(role)) },
  });
const formIn = (text: string): string => /name="form" value="([^"]+)"/.exec(text)?.[1] ?? '';
const host = '32'.padStart(32, '0');
const pages = (): string[] => [
  '/',
  '/cves',
  '/cve/CVE-2026-43284',
  '/rollouts',
  `/rollout/${rollouts.running}`,
  `/rollout/${rollouts.halted}`,
  '/hosts',
  `/host/${host}`,
  '/account',
];

test('nobody sees a page without signing in; the way back is a path of this server', async () => {
  for (const url of pages()) {
    const { statusCode, headers } = await world.fleet.server.inject({ url });
    assert.deepEqual([statusCode, headers.location], [302, `/sign-in?next=${encodeURIComponent(url)}`]);
  }
  for (const next of ['//evil.example', '/\\evil.example', 'https://evil.example', 'x']) {
    const answer = await post('/sign-in', { name: 'viewer', password, next });
    assert.deepEqual([answer.statusCode, answer.headers.location], [303, '/'], next);
  }
  assert.equal((await post('/sign-in', { name: 'viewer', password: 'wrong' })).statusCode, 401);
});

test('no text of a host, a channel or a person becomes markup', async () => {
  for (const url of pages()) {
    const { status, text } = await get(url);
    assert.equal(status, 200, url);
    assert.ok(!text.includes('<script'), url);
    assert.match(text, /Content-Security-Policy" content="default-src &#39;none&#39;/);
  }
  assert.match((await get(`/rollout/${rollouts.halted}`)).text, /&lt;script&gt;/);
});

test('odd addresses are answered, and nothing fails', async () => {
  for (const [url, status] of [
    ['/cve/CVE-1', 404],
    ['/rollout/x', 404],
    ['/rollout/99999999', 404],
    ['/host/none', 404],
    ['/host/%00', 404],
    ["/hosts?search=%27%25_&kernel=a'b&patch=none&condition=x&label=y&after=%00", 200],
    ['/hosts?search=a&search=b', 200],
    ['/cves?page=-1', 200],
    ['/cves?page=1e9', 200],
    ['/none', 404],
  ] as const)
    assert.equal((await get(url)).status, status, url);
  assert.equal((await get('/search?q=cve-2026-43284')).location, '/cve/CVE-2026-43284');
  assert.equal((await get('/search?q=web-4')).location, '/hosts?search=web-4');
});

test('what the pages say: who is exposed, why it is not fixed, why the rollout halted', async () => {
  const cve = (await get('/cve/CVE-2026-43284')).text;
  assert.match(cve, /is halted\. The release harms hosts/);
  assert.match(cve, /No known live patch for this kernel fixes it/);
  const halted = (await get(`/rollout/${rollouts.halted}`)).text;
  assert.match(halted, /Halted<\/strong>.*The release harms hosts: crashes on \d patched hosts/s);
  const list = (await get('/hosts?kernel=6.1.0-44-amd64')).text;
  const next = /href="(\/hosts\?[^"]*after=[^"]+)"/.exec(list)?.[1]?.replaceAll('&amp;', '&') ?? '';
  const second = (await get(next)).text;
  assert.equal(second.match(/href="\/host\//g)?.length, 100);
  assert.ok(!second.includes(/href="\/host\/([0-9a-f]+)"/.exec(list)![1]!));
});

test('forms: only an operator, only from the own session', async () => {
  const url = `/rollout/${rollouts.running}/pause`;
  assert.equal(formIn((await get(`/rollout/${rollouts.running}`)).text), '');
  const form = formIn((await get(`/rollout/${rollouts.running}`, 'operator')).text);
  assert.notEqual(form, '');
  assert.equal((await post(url, { form }, 'viewer')).statusCode, 403);
  assert.equal((await post(url, { form: 'kpc_wrong' }, 'operator')).statusCode, 403);
  assert.equal((await post(url, { form })).statusCode, 302);
  const state = async () => (await readRollouts(world.database, rollouts.running))[0]!;
  assert.equal((await state()).state, 'running');
  assert.equal((await post(url, { form, reason: '<b>audit</b>' }, 'operator')).statusCode, 303);
  assert.deepEqual([(await state()).state, (await state()).reason], ['paused', 'operator paused it: <b>audit</b>']);
  const refused = await post(url, { form }, 'operator');
  assert.match(refused.body, /it is paused/);
  await post(`/rollout/${rollouts.running}/resume`, { form }, 'operator');
});

test(`${hosts} hosts: a page takes less than a second of a processor`, async () => {
  for (const url of [...pages(), '/hosts?search=web-19', `/hosts?patch=${digestOf(1)}`]) {
    await get(url);
    const times: number[] = [];
    for (let run = 0; run < 3; run++) {
      const start = process.cpuUsage();
      await get(url);
      const { user, system } = process.cpuUsage(start);
      times.push((user + system) / 1000);
    }
    assert.ok(Math.min(...times) < 1000, `${url}: ${times.map((one) => one.toFixed(0)).join(' ')} ms`);
  }
});

const views = [
  [1280, false],
  [390, true],
  [1280, true],
  [390, false],
] as const;
for (const [width, dark] of process.env.KPATCH_SOAK === undefined ? views.slice(0, 2) : views)
  test(`${width} pixels wide, ${dark ? 'dark' : 'light'}: axe finds nothing, nothing overflows, the keyboard reaches the content first`, async () => {
    const url = await (async () => {
      const address = world.fleet.server.server.address();
      if (address === null) return await world.fleet.server.listen({ host: '127.0.0.1', port: 0 });
      return typeof address === 'string' ? address : `http://127.0.0.1:${address.port}`;
    })();
    await withPage('about:blank', width, dark, async (browser) => {
      await browser.send('Network.setCookie', { name: 'kpatch-fleet', value: sessions.operator!, url });
      for (const path of ['/sign-in', ...pages()]) {
        await browser.send('Page.navigate', { url: url + path });
        await ready(browser, path);
        assert.equal(await browser.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, path);
        await browser.evaluate(axe);
        const found = await browser.evaluate(
          `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ' ' + nodes[0].html))`,
        );
        assert.deepEqual(found, [], path);
        await browser.send('Input.dispatchKeyEvent', {
          type: 'keyDown',
          key: 'Tab',
          code: 'Tab',
          windowsVirtualKeyCode: 9,
        });
        assert.equal(await browser.evaluate('document.activeElement.className'), 'skip', path);
      }
      assert.deepEqual(browser.messages, []);
    });
  });

/** Waits until the page at `path` is there. */
async function ready(browser: { evaluate<T>(expression: string): Promise<T> }, path: string): Promise<void> {
  for (let attempt = 0; attempt < 2400; attempt++) {
    const there = await browser
      .evaluate<boolean>(`location.pathname === ${JSON.stringify(path)} && document.readyState === 'complete'`)
      .catch(() => false);
    if (there) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${path} does not load`);
}
