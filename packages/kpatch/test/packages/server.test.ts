/** The package of the fleet server and the factory: what is in it, that it runs by itself, and on a machine. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { version } from '#kpatch/base/version.ts';
import { namesBelow } from '#kpatch/base/walk.ts';
import { closure, lockedPackages } from '../../../../tools/packages/lock-file.ts';
import { listening } from '../../../fleet/test/listening.ts';
import { onMachineCopy } from '../host/machine-copy.ts';

const root = join(import.meta.dirname, '../../../..');
const tool = join(root, 'tools/server-packages.ts');

test('the closure has what runs: nested versions, peers and options that are there; not what development needs', () => {
  const packages = {
    'packages/a': { dependencies: { b: '1', own: '1' }, devDependencies: { tests: '1' } },
    'packages/own': { dependencies: { c: '1' } },
    'node_modules/own': { link: true, resolved: 'packages/own' },
    'node_modules/b': {
      dependencies: { c: '2' },
      peerDependencies: { p: '1', q: '1' },
      peerDependenciesMeta: { q: { optional: true } },
    },
    'node_modules/b/node_modules/c': { optionalDependencies: { absent: '1', there: '1' } },
    'node_modules/c': {},
    'node_modules/p': {},
    'node_modules/q': {},
    'node_modules/there': { dependencies: { b: '1' } },
    'node_modules/tests': {},
  };
  assert.deepEqual(closure(packages, ['packages/a']), [
    'node_modules/b',
    'node_modules/b/node_modules/c',
    'node_modules/c',
    'node_modules/p',
    'node_modules/there',
  ]);
  assert.throws(() => closure({ 'packages/a': { dependencies: { b: '1' } } }, ['packages/a']), /packages\/a needs b/);
});

test('both programs run from the files of the package alone, by a user without rights', async () => {
  using folder = temporaryFolder('kpatch-server-');
  await runOk('chmod', ['755', folder.path]);
  const tree = join(folder.path, 'tree');
  await runOk(process.execPath, [tool, '--tree', tree], { timeoutMs: 120_000 });
  const names = namesBelow(join(tree, 'usr/lib/kpatch-server'));
  assert.deepEqual(
    names.filter((name) => /(^|\/)test\/|\.test\.ts$/.test(name) && !name.startsWith('node_modules/')),
    [],
  );
  assert.deepEqual(
    ['typescript', '@biomejs', 'axe-core', 'esbuild'].filter((name) =>
      existsSync(join(tree, 'usr/lib/kpatch-server/node_modules', name)),
    ),
    [],
  );
  const home = join(folder.path, 'home');
  mkdirSync(home);
  await runOk('chown', ['65534:65534', home]);
  const identity = process.getuid!() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const env = { PATH: '/usr/bin:/bin', HOME: '/nonexistent' };
  const start = (program: string, ...args: string[]): ChildProcess =>
    spawn(join(tree, 'usr/bin', program), ['-C', home, ...args], {
      ...identity,
      env,
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  const said = async (child: ChildProcess, input = ''): Promise<string> => {
    child.stdin!.end(input);
    const parts: string[] = [];
    for await (const part of child.stdout!) parts.push(String(part));
    return parts.join('');
  };
  assert.equal(await said(start('kpatch-factory', '--version')), `kpatch-factory ${version}\n`);
  writeFileSync(join(home, 'fleet.json'), '{ "schema": "kpatch.fleet/1", "listen": { "port": 0 } }');
  await said(
    start('kpatch-fleet', 'account', 'set', 'olga', '--role', 'admin', '--password-file', '-'),
    'a long enough one',
  );
  const server = start('kpatch-fleet', 'serve');
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    const url = await listening(server);
    const page = await fetch(url);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /<form/);
    assert.equal((await fetch(`${url}/api/openapi.json`)).status, 200);
  } finally {
    server.kill();
    await ended;
  }
});

test('on a machine: installed with accounts and folders, upgraded, removed with the data kept, and purged', {
  skip: process.env.KPATCH_SOAK !== '1' && 'packs 180 MB: make soak',
}, async () => {
  await runOk(process.execPath, [tool], { timeoutMs: 900_000 });
  const folder = join(root, 'dist/server');
  const [deb, rpm] = ['.deb', '.rpm'].map((end) => readdirSync(folder).find((name) => name.endsWith(end))!);
  const state = `stat -c '%U %a' /var/lib/kpatch-fleet /var/lib/kpatch-factory 2>/dev/null || true; ls /usr/bin/kpatch-fleet 2>/dev/null || echo none`;
  const out = await onMachineCopy(
    folder,
    `unset NODE_OPTIONS; export SYSTEMD_OFFLINE=1
for n in 1 2; do dpkg -i --force-depends /mnt/packages/${deb} >/dev/null 2>&1; ${state}; done
runuser -u kpatch-fleet -- kpatch-fleet --version
echo data > /var/lib/kpatch-fleet/fleet.json
dpkg -r kpatch-server >/dev/null; ${state}; cat /var/lib/kpatch-fleet/fleet.json
dpkg -P kpatch-server >/dev/null 2>&1; ${state}
rpm -i --nodeps /mnt/packages/${rpm}; ${state}; rpm -e kpatch-server; ${state}`,
  );
  const there = 'kpatch-fleet 700\nkpatch-factory 700\n';
  const installed = `${there}/usr/bin/kpatch-fleet\n`;
  assert.equal(
    out,
    `${installed}${installed}kpatch-fleet ${version}\n${there}none\ndata\nnone\n${installed}${there}none\n`,
  );
});

test('its bill of materials names every library of the programs', async () => {
  const libraries = closure(lockedPackages(), ['packages/kpatch', 'packages/factory', 'packages/fleet']);
  for (const workspace of ['kpatch', 'factory', 'fleet']) {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'packages', workspace, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const name of Object.keys(dependencies).filter((one) => one !== 'kpatch'))
      assert.ok(libraries.includes(`node_modules/${name}`), `${workspace} needs ${name}`);
  }
  // The package manager's own answer, of what is installed for these workspaces without development.
  const args = [
    'ls',
    '--omit=dev',
    '--all',
    '--parseable',
    '-w',
    'packages/kpatch',
    '-w',
    'packages/factory',
    '-w',
    'packages/fleet',
  ];
  const { stdout, stderr } = await run('npm', args, { cwd: root, env: { NODE_OPTIONS: '' } });
  assert.notEqual(stdout.toString(), '', stderr);
  const theirs = stdout
    .toString()
    .split('\n')
    .filter((path) => path.startsWith(`${root}/node_modules/`))
    .map((path) => path.slice(root.length + 1));
  // npm lists TypeScript, an optional peer of a library that our development has installed.
  const development = /^node_modules\/(?:@typescript\/|typescript$|kpatch)/;
  assert.deepEqual(
    libraries.filter((name) => !theirs.includes(name)),
    [],
  );
  assert.deepEqual(
    theirs.filter((name) => !development.test(name) && !libraries.includes(name)),
    [],
  );
});
