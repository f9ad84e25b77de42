/** The rights of the services, as systemd-analyze(1) rates them: 0 is none, 10 is all. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { serviceUnits } from '#kpatch/channel/follow/units.ts';
import { reportUnits } from '#kpatch/fleet/units.ts';

const packaging = join(import.meta.dirname, '../../../../packaging');
const packaged = join(packaging, 'systemd');
const ofServers = join(packaging, 'server/systemd');

/** The exposure of a unit file. */
async function exposure(name: string, text: string): Promise<number> {
  using folder = temporaryFolder('kpatch-test-');
  const file = join(folder.path, name);
  writeFileSync(file, text);
  const options = ['security', '--offline=true', '--no-pager', file];
  const { stdout, stderr } = await run('systemd-analyze', options, { env: { LC_ALL: 'C' } });
  const found = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout.toString())?.[1];
  assert.notEqual(found, undefined, stderr);
  return Number(found);
}

const units = new Map(
  readdirSync(packaged)
    .filter((name) => name.endsWith('.service'))
    .map((name) => [name, readFileSync(join(packaged, name), 'utf8')]),
);
for (const services of [serviceUnits('tuf', '/usr/sbin/kpatch'), reportUnits('/usr/sbin/kpatch')])
  for (const [path, text] of services) units.set(basename(path), text);

const servers = readdirSync(ofServers)
  .filter((name) => name.endsWith('.service'))
  .map((name) => [name, readFileSync(join(ofServers, name), 'utf8')] as const);

if (spawnSync('systemd-analyze', ['--version']).status === 0) {
  for (const [name, text] of [...units, ...servers]) {
    test(`${name} has few rights`, async () => {
      const found = await exposure(name, text);
      assert.ok(found <= 4, `systemd-analyze security rates it ${found}`);
    });
  }
}

test('what talks to the network cannot load modules, and what loads modules has no network', () => {
  const talking = ['kpatch-fetch.service', 'kpatch-send.service'];
  for (const name of talking) {
    assert.match(units.get(name)!, /^DynamicUser=yes$/m);
    assert.match(units.get(name)!, /^CapabilityBoundingSet=$/m);
  }
  for (const [name, text] of units) {
    if (talking.includes(name)) continue;
    assert.match(text, /^RestrictAddressFamilies=AF_UNIX$/m, name);
    assert.match(text, /^IPAddressDeny=any$/m, name);
  }
});

test('a machine that follows by packages keeps one service, with the rights that package managers need', () => {
  const names = [...serviceUnits('packages', '/usr/sbin/kpatch').keys()].map((path) => basename(path));
  assert.deepEqual(names, ['kpatch-update.service']);
});
