/** Assembly: hazardous fixes, fixes that are rewritten, fixes that fail the proof, and the upgrade from the predecessor. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryFolder } from 'kpatch/parts';
import { readReport } from '#factory/report/outcomes.ts';
import type { Factory } from '#factory/steps/factory.ts';
import { lines } from './repository.ts';
import { RELEASE, World } from './world.ts';

/** Three fixes: a good one, one with this line, and a later one in another place of the same file. */
function worldWith(folder: string, line: string, settings: object = {}): World {
  const world = new World(folder, settings);
  const { repository } = world;
  const first = repository.commit('first', { 'net/a.c': lines(60, { 5: 'checked' }) });
  const odd = repository.commit('odd', { 'net/a.c': lines(60, { 5: 'checked', 30: line }) });
  const last = repository.commit('last', { 'net/a.c': lines(60, { 5: 'checked', 30: line, 55: 'checked too' }) });
  for (const [at, commit] of [first, odd, last].entries())
    world.record({ id: `CVE-2026-100${at + 1}`, fixed: [commit] });
  return world;
}

/** The file with lines of context around each that is replaced. */
function spread(text: Readonly<Record<number, string>>): string {
  return Array.from({ length: 20 }, (_, at) => `${text[at + 1] ?? `line ${at}`}\n${`context ${at}\n`.repeat(8)}`).join(
    '',
  );
}

async function run(world: World): Promise<Factory> {
  const factory = await world.run();
  await world.close();
  return factory;
}

const [one, two, three] = ['CVE-2026-1001', 'CVE-2026-1002', 'CVE-2026-1003'];

test('a hazardous fix is left out until a person accepts it; each patch is reviewed once, after those before it', async () => {
  using folder = temporaryFolder('kpatch-assembly-');
  const world = worldWith(folder.path, 'HAZARD');
  const factory = await world.run();
  assert.deepEqual(world.published, [{ cves: [one, three], withdrawn: [] }]);
  const [report] = await readReport(factory.config, factory.state);
  const left = report!.cves.find(({ cve }) => cve === two)!;
  assert.equal(left.outcome, 'left out');
  assert.match(left.reason, /the review finds it hazardous \(lock-change\): f \(net\/a\.c:30\)/);
  assert.deepEqual(world.reviews, [['first'], ['first', 'odd'], ['first', 'odd', 'last'], ['first', 'last']]);
  await factory.state.decide({ subject: two!, word: 'accept', reason: 'the lock is never held', who: 'test' });
  await world.close();
  const before = world.reviews.length;
  await run(world);
  assert.deepEqual(world.published.at(-1), { cves: [one, two, three], withdrawn: [] });
  // Only what came before the last patch has changed.
  assert.ok(world.reviews.length - before <= 2, JSON.stringify(world.reviews));
});

test('kinds that the settings do not deny keep nothing out', async () => {
  using folder = temporaryFolder('kpatch-assembly-');
  const world = worldWith(folder.path, 'HAZARD', { deny: ['registered'] });
  await run(world);
  assert.deepEqual(world.published[0]!.cves, [one, two, three]);
});

test('a fix that the build refuses is rewritten where the settings allow the rule', async () => {
  using folder = temporaryFolder('kpatch-assembly-');
  const world = worldWith(folder.path, 'DATA', { rewrite: ['initial-data'] });
  const factory = await world.run();
  assert.deepEqual(world.published[0]!.cves, [one, two, three]);
  const built = await factory.state.read('build', RELEASE);
  assert.deepEqual(
    built!.patches.map(({ rewritten }) => rewritten),
    [undefined, ['a rule'], undefined],
  );
  const text = (await factory.state.blobs.get(built!.patches[1]!.digest!))!.toString();
  assert.match(text, /^Subject: odd\n/);
  assert.match(text, /^\+callback$/m);
  const events = await factory.state.events();
  assert.deepEqual(events.find(({ kind }) => kind === 'rewritten')?.data.notes, ['a rule']);
  await world.close();
});

test('without the rule, or where the rule cannot help, it is left out, and the reason says both', async () => {
  for (const [line, settings, reason] of [
    ['DATA', {}, /diff-data-changed.*the settings do not allow the rules .*initial-data/],
    ['DATA HOPELESS', { rewrite: ['all'] }, /diff-data-changed.*rewriting it: rewrite-refused: .*no rule can/],
  ] as const) {
    using folder = temporaryFolder('kpatch-assembly-');
    const world = worldWith(folder.path, line, settings);
    const factory = await world.run();
    assert.deepEqual(world.published[0]!.cves, [one, three]);
    const [report] = await readReport(factory.config, factory.state);
    assert.match(report!.cves.find(({ cve }) => cve === two)!.reason, reason);
    await world.close();
  }
});

test('a fix that fails the proof is found and left out, and the rest ships', async () => {
  using folder = temporaryFolder('kpatch-assembly-');
  const world = worldWith(folder.path, 'PANIC');
  const factory = await world.run();
  assert.deepEqual(world.published, [{ cves: [one, three], withdrawn: [] }]);
  const [report] = await readReport(factory.config, factory.state);
  assert.match(report!.cves.find(({ cve }) => cve === two)!.reason, /the proof refuses it: the kernel panics/);
  assert.equal(report!.proof?.verdict, 'proven');
  await world.close();
});

test('a proof that fails only once publishes nothing and leaves no patch out', async () => {
  using folder = temporaryFolder('kpatch-assembly-');
  const world = worldWith(folder.path, 'fine');
  world.reasons = ['the guest was slow'];
  world.afterProof = () => {
    world.reasons = [];
  };
  await run(world);
  assert.equal(world.published.length, 0);
  assert.equal(world.proofs.length, 2);
});

test('the proof of a new module upgrades from the published one', async () => {
  using folder = temporaryFolder('kpatch-assembly-');
  const world = worldWith(folder.path, 'fine');
  await run(world);
  assert.deepEqual(world.proofs, [['kpatch_1.ko']]);
  const more = world.repository.commit('more', { 'net/b.c': lines(60, { 5: 'checked' }) });
  world.record({ id: 'CVE-2026-1004', fixed: [more], files: ['net/b.c'] });
  await run(world);
  assert.deepEqual(world.proofs[1], ['kpatch_2.ko', 'kpatch_1.ko']);
  assert.equal(world.published.length, 2);
});

test('of a long series, every patch that is refused by itself is found in one pass, and what needs it goes with it', async () => {
  using folder = temporaryFolder('kpatch-assembly-');
  const world = new World(folder.path, {}, { 'net/a.c': spread({}) });
  const text: Record<number, string> = {};
  const bad = [3, 11, 17];
  for (let at = 1; at <= 20; at++) {
    text[at] = bad.includes(at) ? `REFUSED ${at}` : `checked ${at}`;
    const commit = world.repository.commit(`fix ${at}`, { 'net/a.c': spread(text) });
    world.record({ id: `CVE-2026-${2000 + at}`, fixed: [commit] });
  }
  const factory = await world.run();
  assert.equal(world.published.at(-1)?.cves.length, 17);
  const refused = (await factory.state.events()).filter(({ kind }) => kind === 'refused');
  assert.deepEqual(
    refused.map(({ data }) => data.cves),
    bad.map((at) => [`CVE-2026-${2000 + at}`]),
  );
  // The whole, each of 20 by itself, the rest.
  assert.equal(world.builds.length, 22);
  await world.close();
});
