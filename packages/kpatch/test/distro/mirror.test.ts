/**
 * Mirrors that are being updated, lose files or break off, and build roots that cannot be made: each ends with an error of the
 * catalogue, nothing half-made stays, and the same command works once the cause is gone.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { failure } from '#kpatch/base/errors/error.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import type { AptArchive } from '#kpatch/distro/debian/archive.ts';
import { buildRootPlan } from '#kpatch/distro/debian/build-root.ts';
import { suiteArchive } from '#kpatch/distro/debian/suites.ts';
import { unpackDebs } from '#kpatch/distro/debian/unpack.ts';
import type { Distribution } from '#kpatch/distro/distribution.ts';
import { registerDistribution } from '#kpatch/distro/registry.ts';
import type { PackageVersion } from '#kpatch/kernel/target.ts';
import { buildRoot } from '#kpatch/prepare/build-root.ts';
import { provokes } from '../provoke.ts';

const folder = temporaryFolder('kpatch-mirror-');
const at = (...parts: string[]): string => join(folder.path, ...parts);
const report = silentReporter();
const context = { report, packages: at('packages'), cache: at('cache') };

/** What the mirror does with the package: deliver it, lose it, deliver other bytes, or break off after some of them. */
let behaviour: 'good' | 'gone' | 'other' | 'broken' = 'good';
const server = createServer((request, response) => {
  const file = at('mirror', decodeURIComponent(request.url ?? ''));
  const isPackage = file.endsWith('.deb');
  if (!existsSync(file) || (isPackage && behaviour === 'gone')) return void response.writeHead(404).end();
  const bytes = readFileSync(file);
  if (isPackage && behaviour === 'other') bytes.fill(0x20, 100);
  response.writeHead(200, { 'content-length': bytes.length });
  if (!isPackage || behaviour !== 'broken') return void response.end(bytes);
  response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
});

function gpg(...args: string[]): Buffer {
  const common = ['--homedir', at('gnupg'), '--batch', '--yes', '--quiet', '--pinentry-mode', 'loopback'];
  return execFileSync('gpg', [...common, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
}

/** Signs what is in the mirror; `lists` is the text that the mirror delivers for the package lists, if not the one signed. */
function publish(lists?: string): void {
  const dist = at('mirror/turn/dists/spindle');
  mkdirSync(join(dist, 'main/binary-amd64'), { recursive: true });
  const pool = at('mirror/turn/pool');
  const path = join(pool, 'tool_1_all.deb');
  const digest = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
  const packages = `Package: tool\nVersion: 1\nArchitecture: all\nFilename: pool/tool_1_all.deb\nSize: ${statSync(path).size}\nSHA256: ${digest(readFileSync(path))}\n`;
  writeFileSync(join(dist, 'main/binary-amd64/Packages'), lists ?? packages);
  const file = `${digest(packages)} ${packages.length} main/binary-amd64/Packages`;
  const release = `Origin: Lathe\nSuite: spindle\nCodename: spindle\nArchitectures: amd64\nComponents: main\nDate: Mon, 01 Jan 2024 00:00:00 UTC\nSHA256:\n ${file}\n`;
  writeFileSync(join(dist, 'Release'), release);
  gpg('--clearsign', '--output', join(dist, 'InRelease'), join(dist, 'Release'));
}

/** A package with one file of so many bytes. */
function makePackage(path: string, bytes: number): void {
  const tree = at('tree');
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true });
  mkdirSync(join(tree, 'usr/bin'), { recursive: true });
  writeFileSync(
    join(tree, 'DEBIAN/control'),
    'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n',
  );
  writeFileSync(join(tree, 'usr/bin/tool'), Buffer.alloc(bytes, 'x'));
  execFileSync('dpkg-deb', ['--build', '--root-owner-group', '-Znone', tree, path], { stdio: 'ignore' });
}

const fromMirror = (name: string): Promise<AptArchive> => {
  const { port } = server.address() as AddressInfo;
  const suites = {
    title: 'lathe 7',
    architecture: 'amd64',
    components: ['main'],
    suites: [{ name: 'spindle' }],
    keyring: at('lathe.gpg'),
    keyringPackage: 'lathe-keyring',
    path: 'turn',
    securityPath: 'turn-security',
  };
  return suiteArchive(suites, at('apt', name), { mirror: `http://127.0.0.1:${port}/turn` });
};

before(async () => {
  mkdirSync(at('gnupg'), { mode: 0o700 });
  gpg('--passphrase', '', '--quick-generate-key', 'lathe@example.org', 'ed25519', 'sign', 'never');
  writeFileSync(at('lathe.gpg'), gpg('--export', 'lathe@example.org'));
  mkdirSync(at('mirror/turn/pool'), { recursive: true });
  makePackage(at('mirror/turn/pool/tool_1_all.deb'), 200_000);
  publish();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
after(() => {
  server.close();
  folder.dispose();
});

test('a package that the mirror lost, changed or broke off: three errors, nothing kept, and then it works', async () => {
  const archive = await fromMirror('packages');
  await archive.update(context);
  const [stanza] = await archive.show('tool');
  for (const [what, code] of [
    ['gone', 'package-gone'],
    ['other', 'package-mismatch'],
    ['broken', 'kernel-download'],
  ] as const) {
    behaviour = what;
    const error = await provokes(code, () => archive.fetch(stanza!, context));
    assert.match(error.message, /tool=1/);
    assert.deepEqual(existsSync(at('packages')) ? readdirSync(at('packages')) : [], [], what);
    await provokes(code, () => archive.fetchAll([stanza!], context));
  }
  behaviour = 'good';
  assert.ok(existsSync(await archive.fetch(stanza!, context)));
});

test('package-mismatch: package lists that do not belong to the signed release file', async () => {
  publish('Package: other\nVersion: 1\nArchitecture: all\nFilename: pool/x.deb\nSize: 1\nSHA256: 00\n');
  const archive = await fromMirror('lists');
  const error = await provokes('package-mismatch', () => archive.update(context));
  assert.match(error.message, /the package lists of lathe 7/);
  publish();
  await archive.update(context);
});

test('kernel-part-missing: the archive has no such compiler', async () => {
  const archive = await fromMirror('compiler');
  await archive.update(context);
  const wanted = { family: 'gcc', major: '99', text: 'gcc-99 (Debian 99.1-1) 99.1' } as const;
  const error = await provokes('kernel-part-missing', () => buildRootPlan(archive, wanted, context));
  assert.match(error.message, /gcc-99/);
});

test('pinned packages: from the mirror, else from the packages that were kept; with one gone, what the archive has now', async () => {
  const archive = await fromMirror('pinned');
  await archive.update(context);
  const wanted = { family: 'gcc', major: '99', text: 'gcc-99 (Debian 99.1-1) 99.1' } as const;
  const [{ SHA256: digest = '' }] = (await archive.show('tool')) as [{ SHA256?: string }];
  const pin = { name: 'tool', version: '1', sha256: digest };
  const plan = await buildRootPlan(archive, wanted, context, [pin]);
  assert.deepEqual(plan.packages, [pin]);
  assert.equal((await plan.fetch()).length, 1);
  // The mirror has never had this one.
  writeFileSync(at('packages/old_2%3a7-1_all.deb'), 'content');
  const old = { name: 'old', version: '2:7-1', sha256: createHash('sha256').update('content').digest('hex') };
  const kept = await buildRootPlan(archive, wanted, context, [pin, old]);
  assert.deepEqual(kept.packages, [pin, old]);
  assert.deepEqual(await kept.fetch(), [at('packages/tool_1_all.deb'), at('packages/old_2%3a7-1_all.deb')]);
  const other = 'a'.repeat(64);
  for (const gone of [
    { ...pin, version: '2' },
    { ...pin, sha256: other },
    { ...old, sha256: other },
  ]) {
    // The archive of today has no gcc 99.
    await provokes('kernel-part-missing', () => buildRootPlan(archive, wanted, context, [pin, gone]));
  }
});

test('a build root of pinned packages has its own folder; with one gone, it is the usual one', async () => {
  const cache = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = at('pins');
  try {
    makePackage(at('large.deb'), 1000);
    const today = [{ name: 'gcc', version: '2' }];
    const available = (pins: readonly PackageVersion[] = []): readonly PackageVersion[] =>
      pins.some(({ version }) => version === 'gone') || pins.length === 0 ? today : pins;
    const record = lathe(unpackDebs);
    using _registered = registerDistribution({
      ...record,
      buildRoot: async (version, wanted, options, given) => ({
        ...(await record.buildRoot!(version, wanted, options, given)),
        packages: available(options.pins),
        fetch: async () => {
          if (options.pins?.some(({ version: one }) => one === 'listed') !== true) return [at('large.deb')];
          throw failure('package-gone', { package: 'gcc=listed' });
        },
      }),
    });
    const made = async (...versions: string[]) => {
      const pins = versions.map((version) => ({ name: 'gcc', version }));
      const root = await buildRoot(release, compiler, { pins }, report);
      return [root!.key, root!.packages[0]!.version];
    };
    const usual = (await made())[0]!;
    assert.deepEqual(await made('2'), [usual, '2'], 'the usual one is the one that is wanted');
    assert.deepEqual(await made('gone'), [usual, '2']);
    assert.deepEqual(await made('listed'), [usual, '2'], 'the archive lists it and has lost its file');
    const [key, version] = await made('1');
    assert.equal(version, '1');
    assert.match(key!, new RegExp(`^${usual}-pinned-[0-9a-f]{16}$`));
    assert.deepEqual(await made('1'), [key, '1'], 'from the cache');
    assert.deepEqual(await made(), [usual, '2']);
  } finally {
    if (cache === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = cache;
  }
});

/** Kernels of this distribution are compiled in a root of one package, which `unpack` fills. */
function lathe(unpack: (files: readonly string[], root: string) => Promise<void>): Distribution {
  return {
    id: 'lathe',
    title: 'Lathe Linux',
    packageType: 'deb',
    versions: ['7'],
    versionsOf: () => [],
    provider: () => ({
      name: 'lathe',
      newest: async () => undefined,
      known: async () => [],
      find: async () => undefined,
    }),
    buildRoot: async () => ({ packages: [], fetch: async () => [at('large.deb')], unpack }),
  };
}
const release = { distribution: 'lathe', version: '7' };
const compiler = { family: 'gcc', major: '9', text: 'gcc (Lathe 9.1-1) 9.1' } as const;

test('disk-full: a build root that does not fit leaves nothing behind', async (context_) => {
  makePackage(at('large.deb'), 3_000_000);
  mkdirSync(at('small'));
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1M', 'tmpfs', at('small')]).status !== 0) {
    context_.diagnostic('no filesystem can be mounted here');
    return;
  }
  const cache = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = at('small');
  try {
    using _registered = registerDistribution(lathe(unpackDebs));
    const error = await provokes('disk-full', () => buildRoot(release, compiler, {}, report));
    assert.match(error.fix, /kpatch cache prune/);
    const left = readdirSync(at('small/kpatch/roots')).filter((name) => !name.endsWith('.lock'));
    assert.deepEqual(left, []);
    assert.equal(spawnSync('mount', ['-o', 'remount,size=16M', at('small')]).status, 0);
    const made = await buildRoot(release, compiler, {}, report);
    assert.equal(statSync(join(made!.folder, 'usr/bin/tool')).size, 3_000_000);
  } finally {
    spawnSync('umount', ['-l', at('small')]);
    if (cache === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = cache;
  }
});

test('ten builds that need the same new root: one makes it, nine wait for it', async () => {
  const root = join(import.meta.dirname, '../../../..');
  const script = `
    import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
    import { registerDistribution } from '${root}/packages/kpatch/distro/registry.ts';
    import { buildRoot } from '${root}/packages/kpatch/prepare/build-root.ts';
    import { silentReporter } from '${root}/packages/kpatch/base/report.ts';
    registerDistribution({ id: 'lathe', versionsOf: () => [], buildRoot: async () => ({ packages: [], fetch: async () => [], unpack: async (files, folder) => {
      appendFileSync('${at('made')}', 'one\\n');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      writeFileSync(folder + '/tool', 'x');
    } }) });
    const made = await buildRoot(${JSON.stringify(release)}, ${JSON.stringify(compiler)}, {}, silentReporter());
    console.log(made.folder);`;
  const env = { ...process.env, XDG_CACHE_HOME: at('shared') };
  const one = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (data: Buffer) => {
        said += data.toString();
      });
      child.on('close', (status) => (status === 0 ? resolve(said.trim()) : reject(new Error(`status ${status}`))));
    });
  const folders = await Promise.all(Array.from({ length: 10 }, one));
  assert.deepEqual(new Set(folders), new Set([at('shared/kpatch/roots/lathe-7-gcc-9.1-1')]));
  assert.equal(readFileSync(at('made'), 'utf8'), 'one\n');
  assert.ok(existsSync(join(folders[0]!, 'tool')));
});
