/** Programs for virtual machines of other machines. No test here uses the network. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { busyboxFor, hostFilesFor, programsFolder } from '#kpatch/distro/programs.ts';
import { appletsIn } from '#kpatch/vm/files/initramfs.ts';
import { mill } from '../platform/mill.ts';
import { provokes } from '../provoke.ts';

const folder = temporaryFolder('kpatch-programs-');
const cache = process.env.XDG_CACHE_HOME;
before(() => {
  process.env.XDG_CACHE_HOME = folder.path;
});
after(() => {
  if (cache === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cache;
  folder.dispose();
});

test('the first distribution that has a busybox for the machine gives it, once', async () => {
  const asked: string[] = [];
  const from = [
    {},
    { foreignPackages: () => Promise.resolve(false) },
    {
      foreignPackages: (_machine: unknown, names: readonly string[], below: string) => {
        asked.push(...names);
        mkdirSync(join(below, 'usr/bin'), { recursive: true });
        writeFileSync(join(below, 'usr/bin/busybox'), 'program');
        return Promise.resolve(true);
      },
    },
  ];
  const path = await busyboxFor(mill.naming, silentReporter(), from);
  assert.equal(path, join(programsFolder(), mill.naming.uname, 'busybox'));
  assert.ok(existsSync(path));
  assert.equal(await busyboxFor(mill.naming, silentReporter(), from), path);
  assert.deepEqual(asked, ['busybox-static']);
  const root = await hostFilesFor(mill.naming, silentReporter(), from);
  assert.ok(existsSync(join(root, 'usr/bin/busybox')));
  assert.ok(asked.includes('libc6'));
});

test('a machine that no distribution knows is named, with the place for a program of its own', async () => {
  const naming = { ...mill.naming, uname: 'other' };
  const error = await provokes('guest-programs', () => busyboxFor(naming, silentReporter(), [{}]));
  assert.match(`${error.message} ${error.fix}`, /other.*programs\/other\/busybox/);
});

test('the applets are read from the program, whatever is in front of their table', () => {
  const table = Buffer.from('\xc0\xae [\0[[\0acpid\0busybox\0sh\0zcat\0\0rest\0', 'latin1');
  assert.deepEqual(appletsIn(table), ['[', '[[', 'acpid', 'sh', 'zcat']);
  assert.deepEqual(appletsIn(Buffer.from('[\0[[\0sh\0')), ['[', '[[', 'sh']);
  assert.deepEqual(appletsIn(Buffer.from('no table')), []);
});
