/** What the proof reads and writes, without any guest. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sha256 } from '#kpatch/base/digest.ts';
import { runOk } from '#kpatch/base/run.ts';
import { readProof, requireProof, signProof } from '#kpatch/module/proof.ts';
import { proofPath } from '#kpatch/module/proof-path.ts';
import { NOT_AGAIN } from '#kpatch/prove/checks/late-modules.ts';
import { readSubject, type Subject } from '#kpatch/prove/input/subject.ts';
import { readTestScript } from '#kpatch/prove/input/test-script.ts';
import { readUserCheck } from '#kpatch/prove/input/user-check.ts';
import { limitsOf } from '#kpatch/prove/limits.ts';
import { allProven, matrixText, runMatrix } from '#kpatch/prove/matrix.ts';
import { fullPlan, onlyChecks, quickPlan, trimmed, withUserChecks } from '#kpatch/prove/plans.ts';
import { readSourcePatch } from '#kpatch/prove/report/facts.ts';
import type { Plan } from '#kpatch/prove/run/check.ts';
import { complaintsIn, parseLog } from '#kpatch/prove/run/guest/kernel-log.ts';
import { parseEnabledFunctions } from '#kpatch/prove/run/guest/livepatch.ts';
import { runPlan } from '#kpatch/prove/run/run-plan.ts';
import { provokes } from '../provoke.ts';
import { sampleProof } from './sample-proof.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('what a test script declares of its phases', async () => {
  const usual = readTestScript(file('usual.sh', 'true'));
  assert.deepEqual(usual.expect, { before: 'fail', with: 'pass', after: 'fail' });
  assert.equal(usual.declared, false);
  const told = readTestScript(
    file('told.sh', '#!/bin/sh\n# expect: before pass, with=fail\n  #  expect: after pass\ntrue'),
  );
  assert.deepEqual(told.expect, { before: 'pass', with: 'fail', after: 'pass' });
  for (const text of [
    '',
    ' \n',
    'a\0b',
    '# expect: during pass',
    '# expect: before ok',
    '# expect:',
    '# expect: with pass, with fail',
    '# needs: dummy',
    '# needs: module dum/my',
    '# needs: file',
    '# needs: file not-there',
    '# needs: file told.sh as told.sh',
    '# needs: file told.sh as /a/../b',
  ]) {
    await provokes('prove-test-script', () => readTestScript(file('bad.sh', text)));
  }
  await provokes('file-unreadable', () => readTestScript(join(folder, 'not-there')));
});

test('what a test script declares of its needs', async () => {
  file('tool.c', 'int main(void) { return 0; }');
  await runOk('gcc', ['tool.c', '-o', 'tool'], { cwd: folder });
  await runOk('gcc', ['-static', 'tool.c', '-o', 'static-tool'], { cwd: folder });
  const text = '# needs: module nft_ct, dummy\n# needs: file tool\n# needs: file static-tool as /bin/still\ntrue';
  const { modules, files } = readTestScript(file('needs.sh', text));
  assert.deepEqual(modules, ['nft_ct', 'dummy']);
  const own = files.filter(({ from }) => from.startsWith(folder));
  assert.deepEqual(
    own.map(({ path, mode }) => [path, mode & 0o111]),
    [
      ['/root/tool', 0o111],
      ['/bin/still', 0o111],
    ],
  );
  assert.equal(own[0]?.sha256, sha256(readFileSync(join(folder, 'tool'))));
  const libraries = files.filter((one) => !own.includes(one));
  assert.deepEqual(libraries.map(({ path }) => path.replace(/.*\//, '').replace(/[-.].*/, '')).sort(), ['ld', 'libc']);
  assert.ok(libraries.every(({ path, from }) => path === from));
});

test('a module that is no live patch is refused with the reason', async () => {
  await provokes('prove-not-livepatch', () => readSubject(file('text.ko', 'this is text')));
  await provokes('prove-not-livepatch', () => readSubject(file('empty.ko', '')));
  file('plain.c', 'const char info[] __attribute__((section(".modinfo"))) = "vermagic=6.1 SMP \\0name=plain";');
  await runOk('gcc', ['-c', 'plain.c', '-o', 'plain.ko'], { cwd: folder });
  const error = await provokes('prove-not-livepatch', () => readSubject(join(folder, 'plain.ko')));
  assert.match(error.message, /not marked as a livepatch/);
});

const subject: Subject = {
  file: 'x.ko',
  bytes: new Uint8Array(),
  sha256: 'ab'.repeat(32),
  name: 'x',
  release: '6.1.0-1-amd64',
  vermagic: '6.1.0-1-amd64 SMP',
  arch: 'x86_64',
  manifest: undefined,
  functions: undefined,
  targetModules: [],
  functionSymbols: [],
};

const session = {
  subject,
  predecessors: [],
  kernel: { release: '6.12.1-amd64', image: '/nowhere', modules: undefined, buildId: undefined },
  test: undefined,
  program: undefined,
  progress() {},
};

test('a module for another kernel is refused before anything is started', async () => {
  const { kernel } = session;
  const input = { subject, predecessors: [], kernel, test: undefined, plan: quickPlan, onEvent: () => {} };
  const error = await provokes('prove-other-kernel', () => runPlan(input));
  assert.equal(error.exit, 4);
});

test('a source patch that the module was not made from is not shown', async () => {
  const manifest = { patches: [{ name: 'right.patch', sha256: sha256('right') }] } as unknown as Subject['manifest'];
  const made = { ...subject, manifest };
  assert.equal(readSourcePatch(file('p', 'right'), made).name, 'right.patch');
  await provokes('prove-other-patch', () => readSourcePatch(file('p', 'wrong'), made));
});

test('a plan can be cut down to some checks; those they build on stay', async () => {
  const ids = onlyChecks(quickPlan, ['log-clean']).boots.flatMap(({ checks }) => checks.map(({ id }) => id));
  assert.deepEqual(ids, ['boots', 'targets', 'loads', 'transition', 'redirected', 'unloads', 'log-clean']);
  const reached = onlyChecks(quickPlan, ['reached']).boots[0]!.checks.map(({ id }) => id);
  assert.deepEqual(
    reached.filter((id) => id.startsWith('test-') || id === 'reached'),
    ['test-before', 'test-with', 'reached'],
  );
  const error = await provokes('prove-unknown-check', () => onlyChecks(quickPlan, ['no-such']));
  assert.match(error.fix, /log-clean; with --full also cycles, late-modules, /);
  assert.deepEqual(
    onlyChecks(quickPlan, ['mine'], ['mine']).boots.map(({ checks }) => checks.length),
    [6],
  );
});

test('a check after the reboot brings the installation along; checks of the user are where the patch is loaded', () => {
  const boots = (plan: Plan): Record<string, string[]> =>
    Object.fromEntries(plan.boots.map(({ id, checks }) => [id, checks.map((check) => check.id)]));
  const chosen = boots(onlyChecks(fullPlan, ['applied']));
  assert.deepEqual(Object.keys(chosen), ['stock', 'install', 'reboot']);
  assert.deepEqual(chosen.reboot, ['applied', 'targets', 'redirected']);
  const mine = { id: 'mine', title: 'mine', where: 'guest', async *run() {} } as const;
  const where = Object.entries(boots(withUserChecks(fullPlan, [mine]))).flatMap(([id, checks]) =>
    checks.includes('mine') ? [`${id} before ${checks[checks.indexOf('mine') + 1]}`] : [],
  );
  assert.deepEqual(where, [
    'stock before unloads',
    'install before log-clean',
    'debug before unloads',
    'reboot before log-clean',
  ]);
  assert.deepEqual(
    trimmed(fullPlan, { ...session, test: undefined }).boots.filter(({ system }) => system),
    [],
  );
});

test('what a proof does not show is told', () => {
  const proof = sampleProof('proven');
  assert.deepEqual(
    limitsOf({ ...proof, inputs: [], plan: 'quick' }).map((limit) => limit.split(':').at(-1)),
    [' no test script was given (--test)', ' the quick plan does not check this (--full does)'],
  );
  const reached = {
    ...proof.checks[0]!,
    check: 'stock/reached',
    boot: 'stock',
    evidence: [{ text: 'f: called 0 times' }],
  };
  const full = limitsOf({ ...proof, checks: [reached] });
  assert.match(full.join('\n'), /upgrade.*\n.*boot path.*\n.*f: called 0 times/);
  const whole = { ...proof, inputs: [...proof.inputs, { role: 'predecessor', name: 'a.ko', sha256: '' }] };
  assert.deepEqual(limitsOf({ ...whole, checks: [{ ...reached, check: 'reboot/applied', boot: 'reboot' }] }), []);
  const kept = { ...reached, check: 'reboot/applied', boot: 'reboot', evidence: [{ text: `tun ${NOT_AGAIN}` }] };
  assert.match(
    limitsOf({ ...whole, checks: [kept] }).join(),
    /^a module that is loaded again: tun cannot be loaded again/,
  );
});

test('checks of the user: shell and TypeScript', async () => {
  const shell = await readUserCheck(file('mine.sh', '#!/bin/sh\n# the answer is there\ntest -e /answer\n'));
  assert.equal(shell.check.title, 'the answer is there');
  assert.equal(shell.check.id, 'mine');
  const typed =
    "export default { id: 'typed', title: 'typed', where: 'guest', async *run() { yield { text: 'seen' }; } };";
  assert.equal((await readUserCheck(file('typed.ts', typed))).check.id, 'typed');
  for (const [name, text] of [
    ['none.ts', 'export const x = 1;'],
    ['broken.ts', 'this is no code'],
    ['empty.sh', ''],
  ] as const) {
    await provokes('prove-user-check', () => readUserCheck(file(name, text)));
  }
});

test('the kernel log: complaints of any level, errors, not what every load prints', () => {
  const log = `<6>[    1.0] Linux version 6.1
<5>[    2.0] livepatch: enabling patch 'x'
<4>[    2.0] x: loading out-of-tree module taints kernel.
<4>[    2.1] x: tainting kernel with TAINT_LIVEPATCH
<3>[    2.2] x: module verification failed: signature and/or required key missing - tainting kernel`;
  assert.deepEqual(complaintsIn(parseLog(log)), []);
  for (const line of [
    '<4>[    3.0] WARNING: CPU: 0 PID: 1 at fs/proc/x.c:1 f+0x1/0x2 [x]',
    '<3>[    3.0] BUG kmalloc-64 (Tainted: G  O K): Right Redzone overwritten',
    '<4>[    3.0] Unpatched return thunk in use. This should not happen!',
    '<3>[    3.0] something: an error of any kind',
    '<3>[    3.0] INFO: task insmod:100 blocked for more than 30 seconds.',
  ]) {
    assert.equal(complaintsIn(parseLog(`${log}\n${line}`)).length, 1, line);
  }
});

test('the list of redirected functions', () => {
  const text = `meminfo_proc_show (1)   I M \ttramp: 0xffffffffc0a0f000 (klp_ftrace_handler+0x0/0x1a0) ->ftrace_ops_assist_func+0x0
new_one [x] (1)           \ttramp: 0xffffffffc0a11000 (kprobe_ftrace_handler+0x0/0x1c0)
two_ops (2)   I   \tdirect
\tops: klp_ftrace_handler+0x0
`;
  assert.deepEqual(parseEnabledFunctions(text), [
    { name: 'meminfo_proc_show', byLivepatch: true },
    { name: 'new_one', byLivepatch: false },
    { name: 'two_ops', byLivepatch: true },
  ]);
  assert.deepEqual(parseEnabledFunctions('\0garbage\n((('), []);
});

test('a proof counts only when it is whole, proven, of this module and kernel, and signed where that is asked', async () => {
  const proof = sampleProof('proven');
  const demand = { module: proof.module.sha256, release: proof.kernel.release, image: proof.kernel.image };
  const write = (name: string, value: object): string => file(name, JSON.stringify(value, null, 1));
  assert.equal(requireProof(write('good.json', proof), demand).verdict, 'proven');
  assert.equal(proofPath('/a/b.ko'), '/a/b.proof.json');

  for (const [change, problem] of [
    [{ verdict: 'not proven' }, /verdict/],
    [{ verdict: 'proven except amd64_edac' }, /exceptions count only where the host policy allows them/],
    [{ checks: [] }, /no checks/],
    [{ checks: [{ ...proof.checks[0], outcome: 'not run' }] }, /did not pass/],
    [{ module: { ...proof.module, sha256: '00'.repeat(32) } }, /another module/],
    [{ kernel: { ...proof.kernel, release: '6.1.0-1-amd64' } }, /6\.1\.0-1-amd64/],
    [{ kernel: { ...proof.kernel, image: '00'.repeat(32) } }, /another image/],
    [{ schema: 'kpatch.proof/9' }, /schema/],
    [{ boots: 7 }, /boots/],
  ] as const) {
    const error = await provokes('proof-invalid', () =>
      requireProof(write('bad.json', { ...proof, ...change }), demand),
    );
    assert.match(error.message, problem);
  }
  for (const text of ['', '{', 'null', '[]', '"x"', '\0']) {
    await provokes('proof-invalid', () => readProof(file('none.json', text)));
  }
  await provokes('file-unreadable', () => readProof(join(folder, 'not-there')));
});

test('signatures of proofs: by keys that openssl makes, broken by any change', async () => {
  const proof = sampleProof('proven');
  const demand = { module: proof.module.sha256, release: proof.kernel.release };
  for (const [name, options] of [
    ['ed25519', ['-algorithm', 'ed25519']],
    ['rsa', ['-algorithm', 'rsa', '-pkeyopt', 'rsa_keygen_bits:2048']],
    ['ec', ['-algorithm', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
  ] as const) {
    const [key, pub] = [join(folder, `${name}.key`), join(folder, `${name}.pub`)];
    await runOk('openssl', ['genpkey', ...options, '-out', key]);
    await runOk('openssl', ['pkey', '-in', key, '-pubout', '-out', pub]);
    const signed = signProof(proof, key);
    const path = file('signed.json', JSON.stringify(signed, null, 1));
    requireProof(path, { ...demand, keys: [pub] });
    const changed = file('changed.json', JSON.stringify({ ...signed, plan: 'other' }));
    const error = await provokes('proof-invalid', () => requireProof(changed, { ...demand, keys: [pub] }));
    assert.match(error.message, /changed after it was signed/);
  }
  const plain = file('plain.json', JSON.stringify(proof));
  const [ed, rsa] = [join(folder, 'ed25519.pub'), join(folder, 'rsa.pub')];
  assert.match(
    (await provokes('proof-invalid', () => requireProof(plain, { ...demand, keys: [ed] }))).message,
    /not signed/,
  );
  const other = file('other.json', JSON.stringify(signProof(proof, join(folder, 'ed25519.key'))));
  assert.match(
    (await provokes('proof-invalid', () => requireProof(other, { ...demand, keys: [rsa] }))).message,
    /not trusted/,
  );
  await provokes('proof-key', () => signProof(proof, file('no.key', 'no key')));
});

test('a matrix: one kernel that cannot be had does not stop the others', async () => {
  const { failure } = await import('#kpatch/base/errors/error.ts');
  const cells = await runMatrix([
    { label: '6.1', run: async () => sampleProof('proven') },
    { label: '6.2', run: async () => Promise.reject(failure('guest-memory', { needed: 512, available: 1 })) },
    { label: '6.3', run: async () => sampleProof('not proven') },
  ]);
  assert.equal(allProven(cells), false);
  assert.match(matrixText(cells), /6\.1 +PROVEN.*\n6\.2 +NO PROOF.*512 MiB.*\n6\.3 +NOT PROVEN/);
  await assert.rejects(runMatrix([{ label: 'x', run: async () => Promise.reject(new Error('a defect')) }]), /a defect/);
});
