/** Archives of other distribution releases: mirrors, keys, expiry, and build roots without a sandbox. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { useSandbox } from '#kpatch/base/workspace.ts';
import { machineMirror, type Suites, suiteArchive } from '#kpatch/distro/debian/suites.ts';
import { sandboxed } from '#kpatch/sandbox/sandbox.ts';
import { provokes } from '../provoke.ts';

const folder = temporaryFolder('kpatch-archive-');
after(() => folder.dispose());
const at = (...parts: string[]): string => join(folder.path, ...parts);
const gpg = (...args: string[]): Buffer =>
  execFileSync(
    'gpg',
    ['--homedir', at('gnupg'), '--batch', '--yes', '--quiet', '--pinentry-mode', 'loopback', ...args],
    {
      env: { ...process.env, GNUPGHOME: at('gnupg') },
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
const context = { report: silentReporter(), packages: at('packages'), cache: at('cache') };

/** A repository with one package, signed; `valid` is the text of Valid-Until. */
function repository(name: string, valid: string, suite = 'spindle', version = '1', more = ''): string {
  const dist = at(name, 'turn', 'dists', suite);
  mkdirSync(join(dist, 'main/binary-amd64'), { recursive: true });
  const packages = `Package: linux-image-9-test\nVersion: ${version}\nArchitecture: amd64\nFilename: pool/a.deb\nSize: 1\nSHA256: 00\n`;
  writeFileSync(join(dist, 'main/binary-amd64/Packages'), packages);
  const digest = createHash('sha256').update(packages).digest('hex');
  const file = `${digest} ${packages.length} main/binary-amd64/Packages`;
  const release = `Origin: Lathe\nSuite: ${suite}\nCodename: ${suite}\n${more}Architectures: amd64\nComponents: main\nDate: Mon, 01 Jan 2024 00:00:00 UTC\nValid-Until: ${valid}\nSHA256:\n ${file}\n`;
  writeFileSync(join(dist, 'Release'), release);
  gpg('--clearsign', '--output', join(dist, 'InRelease'), join(dist, 'Release'));
  return `file://${at(name, 'turn')}`;
}

function suites(keyring: string): Suites {
  return {
    title: 'lathe 7',
    architecture: 'amd64',
    components: ['main'],
    suites: [{ name: 'spindle' }],
    keyring,
    keyringPackage: 'lathe-keyring',
    path: 'turn',
    securityPath: 'turn-security',
  };
}

test('package lists are taken from a signed archive, refused if expired or signed by another key', async () => {
  mkdirSync(at('gnupg'), { mode: 0o700 });
  gpg('--passphrase', '', '--quick-generate-key', 'lathe@example.org', 'ed25519', 'sign', 'never');
  gpg('--passphrase', '', '--quick-generate-key', 'other@example.org', 'ed25519', 'sign', 'never');
  writeFileSync(at('lathe.gpg'), gpg('--export', 'lathe@example.org'));
  writeFileSync(at('other.gpg'), gpg('--export', 'other@example.org'));

  const good = repository('good', 'Fri, 01 Jan 2100 00:00:00 UTC');
  const archive = await suiteArchive(suites(at('lathe.gpg')), at('apt'), { mirror: good });
  await archive.updateIfEmpty(context);
  assert.deepEqual(await archive.names('linux-image-'), ['linux-image-9-test']);

  const expired = repository('expired', 'Tue, 02 Jan 2024 00:00:00 UTC');
  const old = await suiteArchive(suites(at('lathe.gpg')), at('apt'), { mirror: expired });
  await provokes('distribution-expired', () => old.update(context));
  const accepted = await suiteArchive(suites(at('lathe.gpg')), at('apt'), { mirror: expired, allowExpired: true });
  await accepted.update(context);
  assert.deepEqual(await accepted.names('linux-image-'), ['linux-image-9-test']);

  const foreign = await suiteArchive(suites(at('other.gpg')), at('apt'), { mirror: good });
  await provokes('distribution-untrusted', () => foreign.update(context));
});

test('the newest is what apt would install: backports are only taken by name', async () => {
  repository('backports', 'Fri, 01 Jan 2100 00:00:00 UTC');
  const more = 'NotAutomatic: yes\nButAutomaticUpgrades: yes\n';
  const mirror = repository('backports', 'Fri, 01 Jan 2100 00:00:00 UTC', 'spindle-backports', '2', more);
  const both = { ...suites(at('lathe.gpg')), suites: [{ name: 'spindle' }, { name: 'spindle-backports' }] };
  const archive = await suiteArchive(both, at('apt'), { mirror });
  await archive.update(context);
  assert.deepEqual(
    (await archive.show('linux-image-9-test')).map(({ Version }) => Version),
    ['2', '1'],
  );
  assert.equal((await archive.candidate('linux-image-9-test'))?.Version, '1');
  assert.equal(await archive.candidate('linux-image-none'), undefined);
});

test('distribution-keyring, distribution-mirror: what is missing is named', async () => {
  const error = await provokes('distribution-keyring', () => suiteArchive(suites(at('nothing.gpg')), at('apt'), {}));
  assert.match(error.fix, /install the package lathe-keyring/);
  writeFileSync(at('any.gpg'), '');
  await provokes('distribution-mirror', () => suiteArchive(suites(at('any.gpg')), at('apt'), {}));
});

test('the mirror of a machine is read from its sources, in both formats', () => {
  mkdirSync(at('machine/etc/apt/sources.list.d'), { recursive: true });
  writeFileSync(
    at('machine/etc/apt/sources.list.d/a.sources'),
    'Types: deb\nURIs: http://mirror.example/turn/\nSuites: x\n',
  );
  assert.equal(machineMirror('turn', at('machine')), 'http://mirror.example/turn');
  writeFileSync(at('machine/etc/apt/sources.list'), 'deb [signed-by=/x] http://first.example/turn x main\n');
  assert.equal(machineMirror('turn', at('machine')), 'http://first.example/turn');
  assert.equal(machineMirror('spin', at('machine')), undefined);
});

test('build-root-sandbox: programs of a build root need the sandbox', async () => {
  useSandbox(false);
  try {
    await provokes('build-root-sandbox', () => sandboxed('true', [], { view: { buildRoot: at('root') } }));
  } finally {
    useSandbox(true);
  }
});
