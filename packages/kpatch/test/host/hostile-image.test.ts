/**
 * Images, folders and modules that somebody prepared: links that lead out of an image, pipes and devices where files are
 * expected, modules that kpatch and the kernel would read differently. All by the program itself.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { type RunResult, run } from '#kpatch/base/run.ts';
import { newSection } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';
import { addManifest } from '#kpatch/module/manifest.ts';
import { attack } from '../attack.ts';
import { manifestOf, moduleBytes, RELEASE, VERMAGIC } from './fake.ts';

const program = join(import.meta.dirname, '../../../../bin/kpatch');

/** A command that waits for ever is ended after this time. */
const LIMIT_MS = 60_000;

interface Scene extends Disposable {
  readonly folder: string;
  /** A folder of this machine with one file that everybody may read. */
  readonly outside: string;
  readonly image: string;
  readonly module: string;
  at(path: string): string;
  kpatch(...args: string[]): Promise<RunResult>;
}

function scene(): Scene {
  const folder = temporaryFolder('kpatch-test-');
  const [outside, image] = [join(folder.path, 'outside'), join(folder.path, 'image')];
  for (const path of [outside, join(image, 'run/kpatch'), join(image, 'etc/kpatch'), join(image, 'var/lib/kpatch')])
    mkdirSync(path, { recursive: true });
  writeFileSync(join(outside, 'precious'), 'precious', { mode: 0o644 });
  const module = join(folder.path, 'one.ko');
  writeFileSync(module, moduleBytes({ name: 'one' }));
  return {
    folder: folder.path,
    outside,
    image,
    module,
    at(path) {
      mkdirSync(dirname(join(image, path)), { recursive: true });
      return join(image, path);
    },
    // A command that waits for ever is what some of these attacks want.
    kpatch: (...args) => run(program, args, { timeoutMs: LIMIT_MS }),
    [Symbol.dispose]: () => folder.dispose(),
  };
}

const store = `var/lib/kpatch/${RELEASE}`;
const errorOf = ({ stderr }: RunResult): string => /^kpatch: .*$/m.exec(stderr)?.[0] ?? '';

/** A link in an image, and what a command that follows it would do. */
const leading: Readonly<Record<string, string>> = {
  'the lock, whose mode would be changed': 'run/kpatch/lock',
  'the folder for staged modules, which is emptied': `${store}/.staged`,
  'the folder of the patch before': `${store}/.previous`,
  'the folder of the store': store,
  'the state of the channel': 'var/lib/kpatch/channel',
  'a folder deep below the store': 'var/lib/kpatch/channel/data/x',
};

for (const [what, path] of Object.entries(leading)) {
  attack({ area: 'host', attacker: 'supply chain', how: `an image with a link that leads out: ${what}` }, async () => {
    using given = scene();
    const { outside, at, kpatch, module, image } = given;
    const target = path.endsWith('lock') ? join(outside, 'precious') : outside;
    symlinkSync(target, at(path));
    const result = await kpatch('install', module, '-k', RELEASE, '--root', image);
    assert.equal(result.status, 2, result.stderr);
    assert.deepEqual(readdirSync(outside), ['precious']);
    assert.equal(statSync(join(outside, 'precious')).mode & 0o777, 0o644);
    return errorOf(result);
  });
}

attack(
  { area: 'host', attacker: 'supply chain', how: 'an image with a link to a file that does not exist yet' },
  async () => {
    using given = scene();
    const { outside, at, kpatch, module, image } = given;
    symlinkSync(join(outside, 'new'), at('run/kpatch/lock'));
    const result = await kpatch('install', module, '-k', RELEASE, '--root', image);
    assert.deepEqual([result.status, existsSync(join(outside, 'new'))], [2, false]);
    return errorOf(result);
  },
);

const pipe = (path: string): void => assert.equal(spawnSync('mkfifo', [path]).status, 0);

/** Files that a command reads. A pipe without a writer would block it for ever, with the lock of the machine held. */
const read: Readonly<Record<string, (given: Scene) => { at: string; args: string[] }>> = {
  'the proof beside a module': ({ folder, module, image }) => ({
    at: join(folder, 'one.proof.json'),
    args: ['install', module, '-k', RELEASE, '--root', image],
  }),
  'the provenance beside a module': ({ folder, module }) => ({
    at: join(folder, 'one.provenance.json'),
    args: ['verify', module],
  }),
  'the test result beside a module': ({ folder, module }) => ({
    at: join(folder, 'one.test-result.json'),
    args: ['verify', module],
  }),
  'the index of the store': ({ at, image }) => ({ at: at(`${store}/.index.json`), args: ['status', '--root', image] }),
  'the state of the boot guard': ({ at, image }) => ({
    at: at(`${store}/.boot.json`),
    args: ['verify', '--root', image],
  }),
  'channel.conf': ({ at, image }) => ({ at: at('etc/kpatch/channel.conf'), args: ['status', '--root', image] }),
  'the list of support windows': ({ at, image }) => ({
    at: at('var/lib/kpatch/channel/kernels.json'),
    args: ['status', '--root', image],
  }),
  'a record of a package': ({ at, image }) => ({
    at: at(`usr/lib/kpatch/${RELEASE}/advisory.json`),
    args: ['update', '--unpacked', '--root', image],
  }),
  'an advisory in a folder': ({ folder }) => ({ at: join(folder, 'CVE-2026-1.json'), args: ['advisory', folder] }),
};

for (const [what, prepare] of Object.entries(read)) {
  attack({ area: 'host', attacker: 'local user', how: `a pipe, and then /dev/zero, in place of ${what}` }, async () => {
    using given = scene();
    const { at, args } = prepare(given);
    pipe(at);
    const begun = performance.now();
    const waited = await given.kpatch(...args);
    rmSync(at);
    symlinkSync('/dev/zero', at);
    const endless = await given.kpatch(...args);
    assert.ok(performance.now() - begun < LIMIT_MS, 'both end by themselves');
    for (const { status, stderr } of [waited, endless]) assert.doesNotMatch(stderr, /\[internal\]/, String(status));
    return errorOf(waited) || `the command ends with status ${waited.status} without reading it`;
  });
}

/** Modules whose parts contradict each other. */
const ambiguous: Readonly<Record<string, () => Uint8Array>> = {
  'a second .modinfo with another name': () => {
    const object = readObject(moduleBytes({ name: 'one' }), 'one.ko');
    const data = Buffer.from(`name=evil\0vermagic=${VERMAGIC}\0livepatch=Y\0`);
    object.sections.push(newSection({ name: '.modinfo', type: 1, data }));
    return writeObject(object);
  },
  'a second manifest with a higher version': () => {
    const object = readObject(moduleBytes({ name: 'one' }), 'one.ko');
    addManifest(object, manifestOf('one', { version: 99 }));
    return writeObject(object);
  },
  'the manifest of another module': () => moduleBytes({ name: 'one', manifest: { name: 'other' } }),
};

for (const [what, bytes] of Object.entries(ambiguous)) {
  attack({ area: 'host', attacker: 'patch author', how: `a module with ${what}` }, async () => {
    using given = scene();
    writeFileSync(given.module, bytes());
    const result = await given.kpatch('install', given.module, '-k', RELEASE, '--root', given.image);
    assert.equal(result.status, 1, result.stderr);
    assert.match(result.stderr, /\[module-not-livepatch\]/);
    return errorOf(result);
  });
}

test('an image whose links stay inside is served as before, and a pipe that a shell hands over is read', async () => {
  using given = scene();
  const { at, image, module, kpatch } = given;
  mkdirSync(at('srv/store'), { recursive: true });
  symlinkSync('../../../srv/store', at(store));
  assert.equal((await kpatch('install', module, '-k', RELEASE, '--root', image)).status, 0);
  assert.ok(existsSync(join(image, 'srv/store/one.ko')));
  const { stderr } = await run('bash', ['-c', '"$0" verify --key <(echo nonsense) "$1"', program, module]);
  assert.match(stderr, /not a public key in PEM form/);
});
