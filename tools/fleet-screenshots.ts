/** The pages of a sample fleet as pictures into docs/images; part of `make screenshots`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { setAccount, signIn } from '../packages/fleet/access/accounts.ts';
import { commandLine } from '../packages/fleet/access/audit.ts';
import { defaultConfig } from '../packages/fleet/config.ts';
import { openFleet } from '../packages/fleet/server/fleet.ts';
import { openDatabase } from '../packages/fleet/store/database.ts';
import { sampleFleet, sampleRollout } from '../packages/fleet/test/pages/sample.ts';
import { withPage } from '../packages/kpatch/test/prove/browser.ts';

const images = join(import.meta.dirname, '../docs/images');
const password = 'a password for pictures';
const hosts = 2000;

using folder = temporaryFolder('kpatch-fleet-pages-');
const database = await openDatabase(folder.path, undefined);
const now = Date.now();
await sampleFleet(database, hosts, now);
const running = await sampleRollout(database, 'running', hosts, now);
const halted = await sampleRollout(database, 'halted', hosts, now);
await setAccount(database, commandLine, 'anna', 'operator', password);
const session = (await signIn(database, 'anna', password, ''))!;
const fleet = await openFleet(database, defaultConfig(folder.path));
const url = await fleet.server.listen({ host: '127.0.0.1', port: 0 });
const paths = {
  overview: '/',
  cve: '/cve/CVE-2026-43284',
  'rollout-running': `/rollout/${running}`,
  'rollout-halted': `/rollout/${halted}`,
  host: `/host/${'32'.padStart(32, '0')}`,
  hosts: '/hosts?kernel=6.1.0-47-amd64',
};
for (const [width, dark] of [
  [390, true],
  [1280, false],
] as const)
  await withPage('about:blank', width, dark, async (browser) => {
    await browser.send('Network.setCookie', { name: 'kpatch-fleet', value: session, url });
    for (const [name, path] of Object.entries(paths)) {
      await browser.send('Page.navigate', { url: url + path });
      while (
        !(await browser
          .evaluate<boolean>(`location.href === ${JSON.stringify(url + path)} && document.readyState === 'complete'`)
          .catch(() => false))
      )
        await new Promise((resolve) => setTimeout(resolve, 50));
      const height = Math.min(2400, await browser.evaluate<number>('document.documentElement.scrollHeight'));
      await browser.send('Emulation.setDeviceMetricsOverride', {
        width,
        height,
        deviceScaleFactor: 1,
        mobile: width < 600,
      });
      const { data } = await browser.send('Page.captureScreenshot', { format: 'webp', quality: 60 });
      const file = `fleet-${name}-${width}-${dark ? 'dark' : 'light'}.webp`;
      writeFileSync(join(images, file), Buffer.from(data as string, 'base64'));
      await browser.send('Emulation.setDeviceMetricsOverride', {
        width,
        height: 900,
        deviceScaleFactor: 1,
        mobile: width < 600,
      });
    }
  });
await fleet[Symbol.asyncDispose]();
await database.close();
console.log('fleet');
