import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sha256 } from '#kpatch/base/digest.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import { loadAll } from '#kpatch/host/boot/boot.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { unloadPatch } from '#kpatch/host/live/unload.ts';
import { metricsText } from '#kpatch/host/metrics.ts';
import { statusOf } from '#kpatch/host/status.ts';
import { installModule } from '#kpatch/host/store/install.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { verify } from '#kpatch/host/verify.ts';
import { type Proof, signProof } from '#kpatch/module/proof.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, RELEASE } from './fake.ts';

const report = silentReporter();
const program = join(import.meta.dirname, '../../../../bin/kpatch');

const PROOF: Omit<Proof, 'module'> = {
  schema: 'kpatch.proof/1',
  verdict: 'proven',
  reasons: [],
  plan: 'quick',
  kernel: { release: RELEASE, image: '0'.repeat(64) },
  inputs: [],
  tool: 'test',
  qemu: 'none',
  made: '2026-01-01T00:00:00Z',
  checks: [{ check: 'loads', boot: 'first', title: 'it loads', outcome: 'held', evidence: [], ms: 1 }],
  boots: [],
  ms: 1,
};

/** An image below `--root` with what the fake machine has in its store and its sysfs. */
function imageOf(machine: FakeMachine): string {
  const image = join(machine.folder, 'image');
  mkdirSync(join(image, 'var/lib'), { recursive: true });
  return image;
}

async function kpatch(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const { status, stdout, stderr } = await run(program, args);
  return { status, stdout: stdout.toString(), stderr };
}

test('list prints the two paragraphs that other programs read, and functions only when asked', async () => {
  using machine = new FakeMachine();
  const image = imageOf(machine);
  machine.set('image/sys/kernel/livepatch/one/enabled', '1\n');
  machine.set('image/sys/kernel/livepatch/one/transition', '0\n');
  machine.set('image/sys/kernel/livepatch/one/vmlinux/meminfo_proc_show,1/x', '');
  machine.set('image/sys/kernel/livepatch/one/nfs/nfs_read,2/x', '');
  machine.set('image/sys/kernel/livepatch/two/enabled', '0\n');
  machine.set('image/sys/kernel/livepatch/two/transition', '1\n');
  machine.set('image/var/lib/kpatch/channel/client.json', '{}');
  machine.set(`image/var/lib/kpatch/${RELEASE}/kpatch-one.ko`, '');
  machine.set('image/var/lib/kpatch/6.12.9-amd64/two.ko', '');
  const paragraphs = `Loaded patch modules:
one [enabled]
two [disabling...]

Installed patch modules:
kpatch_one (${RELEASE})
two (6.12.9-amd64)
`;
  assert.deepEqual(await kpatch('list', '--root', image), { status: 0, stdout: paragraphs, stderr: '' });
  const { stdout } = await kpatch('list', '--functions', '--root', image);
  assert.equal(
    stdout,
    `${paragraphs}
Livepatched functions:
nfs_read,2 (nfs) [one]
meminfo_proc_show (vmlinux) [one]
`,
  );
  const json = JSON.parse((await kpatch('list', '--json', '--root', image)).stdout) as {
    schema: string;
    loaded: object[];
  };
  assert.deepEqual([json.schema, json.loaded.length], ['kpatch.list/1', 2]);
});

test('an empty machine', async () => {
  using machine = new FakeMachine();
  const image = imageOf(machine);
  const text = 'Loaded patch modules:\n\nInstalled patch modules:\n';
  assert.deepEqual(await kpatch('list', '--root', image), { status: 0, stdout: text, stderr: '' });
  assert.equal((await kpatch('verify', '--root', image)).stdout, 'Consistent.\n');
  assert.equal((await kpatch('status', '--root', image)).status, 0);
});

test('a patch is installed into an image, described, found damaged and taken out', async () => {
  using machine = new FakeMachine();
  const image = imageOf(machine);
  const file = machine.module({ name: 'kpatch_fix', manifest: { version: 3, cves: ['CVE-2026-1'] } });
  const done = await kpatch('install', '--root', image, file);
  assert.deepEqual([done.status, done.stdout], [0, `kpatch_fix is installed for ${RELEASE}\n`]);
  assert.equal((await kpatch('install', '--root', image, file)).status, 3);
  const info = await kpatch('info', file);
  assert.match(info.stdout, /^Patch information for .*\n(.|\n)*version: +3\n(.|\n)*CVE-2026-1/);
  assert.equal((await kpatch('verify', '--root', image)).status, 0);
  copyFileSync(
    machine.module({ name: 'kpatch_fix', filling: 'other' }),
    join(image, `var/lib/kpatch/${RELEASE}/kpatch_fix.ko`),
  );
  const found = await kpatch('verify', '--root', image);
  assert.deepEqual([found.status, /has changed since it was installed/.test(found.stdout)], [1, true]);
  assert.equal((await kpatch('uninstall', '-k', RELEASE, '--root', image, 'kpatch_fix.ko')).status, 0);
  assert.equal((await kpatch('uninstall', '-k', RELEASE, '--root', image, 'kpatch_fix')).status, 1);
});

test('--require-proof asks for a valid proof of this very module', async () => {
  using machine = new FakeMachine();
  const image = imageOf(machine);
  const file = machine.module({ name: 'fix' });
  const install = (...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> => {
    return kpatch('install', '--root', image, ...args, file);
  };
  assert.match((await install('--require-proof')).stderr, /proof-key-missing/);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  machine.set('files/proof.pub', publicKey.export({ type: 'spki', format: 'pem' }));
  machine.set('files/proof.key', privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const signed = ['--require-proof', '--proof-key', join(machine.folder, 'files/proof.pub')];
  assert.match((await install(...signed)).stderr, /file-unreadable/);
  const proof: Proof = { ...PROOF, module: { name: 'fix', file: 'fix.ko', sha256: sha256(readFileSync(file)) } };
  const sign = (document: Proof): Proof => signProof(document, join(machine.folder, 'files/proof.key'));
  const other: Proof = { ...proof, module: { ...proof.module, sha256: '1'.repeat(64) } };
  for (const [content, wrong] of [
    [{ ...proof, verdict: 'not proven' }, /not proven/],
    [other, /another module/],
    [{ ...proof, kernel: { ...proof.kernel, release: '6.12.1' } }, /not for/],
  ] as const) {
    machine.set('files/fix.proof.json', JSON.stringify(sign(content)));
    const { status, stderr } = await install(...signed);
    assert.equal(status, 4, stderr);
    assert.match(stderr, wrong);
  }
  machine.set('files/fix.proof.json', JSON.stringify(sign(proof)));
  const shown =
    /^proof: proven \(1 of 1 checks of the plan "quick" on 6.1.0-56-amd64.*\n {2}not shown: whether it fixes/m;
  assert.match((await kpatch('info', file)).stdout, shown);
  const { status, stderr } = await install(...signed);
  assert.equal(status, 0, stderr);
  const kept = join(image, `var/lib/kpatch/${RELEASE}/fix.proof.json`);
  assert.match((await kpatch('info', kept.replace('.proof.json', '.ko'))).stdout, /^proof: proven/m);
  assert.equal((await kpatch('uninstall', '-k', RELEASE, '--root', image, 'fix')).status, 0);
  assert.equal(existsSync(kept), false, 'the proof goes with the module');
});

test('wrong usage is status 2 and nothing more', async () => {
  const wrong = [
    ['load'],
    ['load', '--all', 'x'],
    ['unload'],
    ['install'],
    ['uninstall'],
    ['load', 'x', '--wait', '-1'],
    ['load', 'x', '--wait', 'soon'],
    ['list', 'x'],
    ['list', '--nope'],
    ['load', '--boot'],
    ['load', '--all', '--proof', 'x'],
    ['help', 'nope'],
    ['uninstall', '-k', '../../etc', 'x'],
  ];
  const results = await Promise.all(wrong.map((args) => kpatch(...args, '--root', '/')));
  for (const [i, { status, stderr }] of results.entries()) {
    assert.equal(status, 2, `${wrong[i]?.join(' ')}: ${stderr}`);
    assert.doesNotMatch(stderr, /internal/);
  }
  assert.equal((await kpatch('load', 'nope', '--json')).status, 1);
});

test('status says what runs, what it fixes, what boots next; verify and metrics agree with it', async () => {
  using machine = new FakeMachine();
  const file = machine.module({ name: 'one', manifest: { version: 4, cves: ['CVE-2026-2', 'CVE-2026-1'] } });
  await installModule(machine, file, {}, report);
  const status = statusOf(machine);
  assert.deepEqual(status.cves, ['CVE-2026-1', 'CVE-2026-2']);
  assert.deepEqual(status.boots, [{ name: 'one', version: 4 }]);
  assert.deepEqual([status.todo, status.transition, status.onTrial], [[], undefined, false]);
  assert.deepEqual(verify(machine), []);
  const text = metricsText(machine);
  assert.match(text, /^kpatch_healthy 1$/m);
  assert.match(text, /^kpatch_patch_info\{patch="one",version="4",state="enabled"\} 1$/m);
  assert.match(text, /^kpatch_fixed_cves 2$/m);
  for (const line of text.trimEnd().split('\n')) assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{.*\})? \d+)$/);
  assert.ok(text.endsWith('\n'));
});

test('status says what a person should do', async () => {
  using machine = new FakeMachine();
  await installModule(machine, machine.module({ name: 'one' }), {}, report);
  machine.foreign('by_hand');
  assert.match(statusOf(machine).todo.join('\n'), /by_hand .*loaded but not installed/);
  machine.reboot();
  assert.match(statusOf(machine).todo.join('\n'), /one .*installed but not active; do: kpatch load one/);
  await loadAll(machine, { guarded: true }, report);
  assert.equal(statusOf(machine).onTrial, true);
  for (let i = 0; i < 3; i++) {
    machine.reboot();
    await loadAll(machine, { guarded: true }, report);
  }
  const { todo, blocked, boots } = statusOf(machine);
  assert.deepEqual([blocked.length, boots.length, todo.length], [1, 0, 1]);
  assert.match(todo[0] ?? '', /3 boots with it .*'kpatch install --again one'/);
  assert.match(metricsText(machine), /^kpatch_blocked_patches 1$/m);
});

test('an older installed patch is not offered for loading while a newer one runs', async () => {
  using machine = new FakeMachine();
  await installModule(machine, machine.module({ name: 'fix_1', manifest: { version: 1 } }), {}, report);
  await loadModule(machine, readModuleFile(machine.module({ name: 'fix_2', manifest: { version: 2 } })), {}, report);
  const [installed] = verify(machine).filter(({ patch }) => patch === 'fix_1');
  assert.match(installed?.problem ?? '', /^installed but not active, and would not be loaded: .*fix_2/);
  assert.match(installed?.fix ?? '', /kpatch install FILE, or go back with kpatch load --downgrade fix_1/);
  await unloadPatch(machine, 'fix_2', {}, report);
  assert.deepEqual(
    verify(machine).map(({ fix }) => fix),
    ['kpatch load fix_1'],
  );
});

test('a kernel that cannot be patched needs attention', () => {
  using machine = new FakeMachine();
  rmSync(join(machine.sysfs, 'kernel/livepatch'), { recursive: true });
  assert.match(statusOf(machine).todo.join(), /does not support live patching: boot a kernel with CONFIG_LIVEPATCH=y/);
  assert.match(metricsText(machine), /^kpatch_healthy 0$/m);
});

test('status of an image says what each of its kernels would load', async () => {
  using machine = new FakeMachine();
  const image = imageOf(machine);
  const file = machine.module({ name: 'kpatch_fix', manifest: { version: 3 } });
  await kpatch('install', '--root', image, file);
  const { status, stdout } = await kpatch('status', '--root', image);
  assert.equal(status, 0);
  assert.match(stdout, new RegExp(`Boots next +kpatch_fix \\(version 3\\) for ${RELEASE}\n`));
});

test('--root with a mistyped folder is wrong usage for every command, and creates nothing', async () => {
  using machine = new FakeMachine();
  const file = machine.module({ name: 'fix' });
  const missing = join(machine.folder, 'typo');
  const tried = [
    ...['list', 'status', 'verify', 'metrics', 'auto', 'manual', 'update', 'signal', 'force'].map((one) => [one]),
    ...[['install', file], ['load', file], ['unload', 'x'], ['uninstall', 'x'], ['info', file], ['advisory']],
    ...[
      ['policy', 'show'],
      ['policy', 'check'],
      ['channel', 'status'],
      ['channel', 'follow', 'file:///x', '--key', 'k'],
    ],
  ];
  for (const args of tried) {
    const { status, stderr } = await kpatch(...args, '--root', missing);
    assert.equal(status, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, /typo' is invalid\. It is not a folder/);
  }
  assert.equal(existsSync(missing), false);
});

test('info --json has the proof that the text has', async () => {
  using machine = new FakeMachine();
  const file = machine.module({ name: 'fix' });
  const read = async (): Promise<unknown> =>
    (JSON.parse((await kpatch('info', file, '--json')).stdout) as { proof: unknown }).proof;
  assert.equal(await read(), null);
  const proof = {
    ...PROOF,
    verdict: 'not proven',
    reasons: ['it stalls'],
    module: { name: 'fix', file: 'fix.ko', sha256: sha256(readFileSync(file)) },
  };
  machine.set('files/fix.proof.json', JSON.stringify(proof));
  assert.deepEqual(await read(), {
    file: file.replace('.ko', '.proof.json'),
    belongs: true,
    verdict: 'not proven',
    plan: 'quick',
    made: PROOF.made,
    release: RELEASE,
    held: 1,
    checks: 1,
    reasons: ['it stalls'],
    signedBy: null,
  });
});

test('status as one line, by a template, and watched', async () => {
  using machine = new FakeMachine();
  const image = imageOf(machine);
  await kpatch('install', '--root', image, machine.module({ name: 'kpatch_fix', manifest: { version: 3 } }));
  const short = await kpatch('status', '--root', image, '--short');
  assert.equal(short.stdout, 'not running; no patch loaded; 0 CVEs fixed; nothing to do\n');
  const own = await kpatch('status', '--root', image, '--format', '{boots}: {patches}, {cve-count} {todo}');
  assert.deepEqual([own.status, own.stdout], [0, 'kpatch_fix: none, 0 nothing\n']);
  const odd = await kpatch('status', '--root', image, '--format', '{nope}');
  assert.equal(odd.status, 2);
  assert.match(odd.stderr, /no field \{nope\}; there are release, patches/);
  const watched = spawn(program, ['status', '--root', image, '--short', '--watch'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let seen = '';
  try {
    await new Promise<void>((resolve, reject) => {
      watched.once('exit', (status) => reject(new Error(`it ended with status ${status}`)));
      watched.stdout.on('data', (part: Buffer) => {
        seen += part.toString();
        if (seen.includes('\n')) resolve();
      });
    });
    await sleep(3000); // more looks
  } finally {
    watched.removeAllListeners('exit').kill();
  }
  assert.equal(seen, short.stdout, 'a log gets each state once');
});

test('status judges the end of a shield by the clock of the machine', async () => {
  using machine = new FakeMachine();
  const shield = { function: 'meminfo_proc_show', returns: '-EPERM', log: false, until: '2026-01-15T00:00:00.000Z' };
  await loadModule(machine, readModuleFile(machine.module({ name: 'one', manifest: { shield } })), {}, report);
  const ended = (): boolean => statusOf(machine).todo.some((one) => /ended on 2026-01-15/.test(one));
  assert.equal(ended(), false);
  machine.now = 15 * 86_400_000;
  assert.equal(ended(), true);
});

test('status explains a running transition', async () => {
  using machine = new FakeMachine();
  machine.tasks = [{ pid: 7, command: 'dd', stack: ['pipe_write+0x1/0x2', 'meminfo_proc_show+0x1/0x2'] }];
  const module = readModuleFile(machine.module({ name: 'one' }));
  await provokes('transition-left', () => loadModule(machine, module, { onStall: 'leave', waitMs: 100 }, report));
  const { transition, todo } = statusOf(machine);
  assert.deepEqual(transition?.progress, { total: 2, done: 1 });
  assert.equal(transition?.holdups[0]?.function, 'meminfo_proc_show');
  assert.match(todo.join('\n'), /in transition/);
});

test('signal and force have nothing to do without a transition', async () => {
  using machine = new FakeMachine();
  const image = imageOf(machine);
  for (const verb of ['signal', 'force']) {
    const { status, stderr } = await kpatch(verb, '--root', image);
    assert.equal(status, 3);
    assert.match(stderr, /no-transition/);
  }
});

test('metrics are written for the node exporter', async () => {
  using machine = new FakeMachine();
  const file = join(machine.folder, 'kpatch.prom');
  assert.equal((await kpatch('metrics', '--root', imageOf(machine), '--output', file)).status, 0);
  assert.match(readFileSync(file, 'utf8'), /kpatch_healthy/);
  const none = join(machine.folder, 'no/such/kpatch.prom');
  assert.equal((await kpatch('metrics', '--if-present', '--output', none)).status, 0);
});
