import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Advisory, readDocument } from 'kpatch/advisories';
import { temporaryFolder } from 'kpatch/parts';
import { findFix } from '#factory/fixes/find.ts';
import { Git } from '#factory/fixes/git.ts';
import { History } from '#factory/fixes/history.ts';
import { makeSeries, type Series, type SeriesOptions } from '#factory/fixes/series.ts';
import { cveRecord } from '../../kpatch/test/advisory/records.ts';
import { provokes } from '../../kpatch/test/provoke.ts';
import { lines, TestRepository } from './repository.ts';

const upstream = (digit: string): string => digit.repeat(40);
const advisory = (id: string, ...fixed: string[]): Advisory => readDocument(cveRecord({ id, fixed }), 'f')[0]!;

interface Case {
  readonly repository: TestRepository;
  readonly git: Git;
  readonly base: string;
  readonly history: () => Promise<History>;
  readonly series: (fixes: Readonly<Record<string, string>>, options?: SeriesOptions) => Promise<Series>;
}

async function within(files: Readonly<Record<string, string>>, work: (one: Case) => Promise<void>): Promise<void> {
  using folder = temporaryFolder('kpatch-factory-');
  const repository = new TestRepository(join(folder.path, 'linux'), files);
  const base = repository.git('rev-parse', 'HEAD');
  using git = await Git.open(repository.folder);
  const history = (): Promise<History> => History.read(git, base, 'stable');
  const series = async (fixes: Readonly<Record<string, string>>, options?: SeriesOptions): Promise<Series> => {
    const all = await history();
    const wanted = Object.entries(fixes).map(([cve, id]) => ({ commit: all.get(id)!, cves: [cve] }));
    return await makeSeries(wanted, all, git, base, options);
  };
  await work({ repository, git, base, history, series });
}

const shown = ({ patches, dropped }: Series) => ({
  patches: patches.map(({ commit, why, cves }) => [commit.subject, why, cves.join(' ')]),
  dropped: dropped.map(({ commit, reason }) => [commit.subject, reason]),
});

test('a fix is found by its id, by the upstream line, by the CVE in its text, and on another branch', () =>
  within({ 'a.c': lines(20) }, async ({ repository, git, base, history }) => {
    const own = repository.commit(`one\n\ncommit ${upstream('a')} upstream.`, { 'a.c': lines(20, { 2: 'x' }) });
    const two = repository.commit(`two\n\n[ Upstream commit ${upstream('b')} ]\n\nCVE-2026-1009`, {
      'a.c': lines(20, { 3: 'x' }),
    });
    repository.git('checkout', '-q', '-b', 'main', base);
    const foreign = repository.commit('three', { 'a.c': lines(20, { 9: 'x' }) });
    const all = await history();
    const find = async (one: Advisory) => {
      const found = await findFix(one, all, git, base);
      return found.state === 'found' ? found.commits.map(({ id }) => id) : [found.state, found.text];
    };
    assert.deepEqual(await find(advisory('CVE-2026-1001', own)), [own]);
    assert.deepEqual(await find(advisory('CVE-2026-1001', upstream('a'))), [own]);
    assert.deepEqual(await find(advisory('CVE-2026-1001', upstream('b'), upstream('a'))), [own, two], 'several fixes');
    assert.deepEqual(await find(advisory('CVE-2026-1009')), [two]);
    assert.deepEqual(await find(advisory('CVE-2026-1001', foreign)), [foreign]);
    assert.deepEqual(await find(advisory('CVE-2026-1001', base)), [
      'in the base',
      `${base.slice(0, 12)} is part of the source`,
    ]);
    assert.match(
      (await find(advisory('CVE-2026-1001', upstream('f'))))[1]!,
      /none of its 1 fixing commits is in the repository/,
    );
    assert.match((await find(advisory('CVE-2026-1001')))[1]!, /no record names/);
  }));

test('a fix that was carried back before the base is part of the source, unless it was reverted', () =>
  within({ 'a.c': lines(20) }, async ({ repository, git }) => {
    const own = repository.commit(`one\n\n[ Upstream commit ${upstream('a')} ]`, { 'a.c': lines(20, { 2: 'x' }) });
    const undone = repository.commit(`two\n\ncommit ${upstream('b')} upstream.`, { 'a.c': lines(20, { 2: 'y' }) });
    repository.commit(`Revert "two"\n\nThis reverts commit ${undone}.`, { 'a.c': lines(20, { 2: 'x' }) });
    const base = repository.git('rev-parse', 'HEAD');
    const later = await History.read(git, base, 'stable');
    const past = (): Promise<History> => History.read(git, undefined, base);
    const find = async (id: string): Promise<string> =>
      (await findFix(advisory('CVE-2026-1001', id), later, git, base, past)).text;
    assert.equal(await find(upstream('a')), `${own.slice(0, 12)} is part of the source`);
    assert.match(await find(upstream('b')), /none of its 1 fixing commits/);
  }));

test('the order of the branch; two CVEs with one fix; what is in the source already', () =>
  within({ 'a.c': lines(20), 'b.c': lines(5) }, async ({ repository, history, git, base }) => {
    const one = repository.commit('one', { 'a.c': lines(20, { 2: 'x' }) });
    const two = repository.commit('two', { 'b.c': lines(5, { 2: 'x' }) });
    const back = repository.commit('three', { 'a.c': lines(20) });
    const all = await history();
    const wanted = [
      { commit: all.get(two)!, cves: ['CVE-2026-1002'] },
      { commit: all.get(one)!, cves: ['CVE-2026-1001'] },
      { commit: all.get(two)!, cves: ['CVE-2026-1003'] },
    ];
    const found = await makeSeries(wanted, all, git, base);
    assert.deepEqual(shown(found).patches, [
      ['one', 'fix', 'CVE-2026-1001'],
      ['two', 'fix', 'CVE-2026-1002 CVE-2026-1003'],
    ]);
    assert.match(
      found.patches[1]!.text.toString(),
      /^Subject: two\n.*CVE-2026-1002 CVE-2026-1003\n.*\n-line 2\n\+x\n/s,
    );
    const same = await makeSeries([{ commit: all.get(back)!, cves: ['CVE-2026-1004'] }], all, git, base);
    assert.equal(same.patches.length, 0);
    assert.ok(same.dropped.length === 1);
  }));

test('a prerequisite is found by who wrote the lines, and brings the fix of its own flaw', () =>
  within({ 'a.c': lines(20), 'b.c': lines(20) }, async ({ repository, series }) => {
    const first = repository.commit('rework', { 'a.c': lines(20, { 9: 'new 9', 10: 'new 10', 11: 'new 11' }) });
    const fix = repository.commit('fix', { 'a.c': lines(20, { 9: 'new 9', 10: 'checked 10', 11: 'new 11' }) });
    repository.commit(`repair the rework\n\nFixes: ${first.slice(0, 12)} ("rework")`, { 'b.c': lines(20, { 3: 'y' }) });
    const found = await series({ 'CVE-2026-1001': fix });
    assert.deepEqual(shown(found).patches, [
      ['rework', 'prerequisite', ''],
      ['fix', 'fix', 'CVE-2026-1001'],
      ['repair the rework', 'fix of a fix', ''],
    ]);
    assert.deepEqual(found.patches[1]!.needs, [first]);
  }));

test('a search for prerequisites has bounds', () =>
  within({ 'a.c': lines(20) }, async ({ repository, series }) => {
    let last = '';
    for (let step = 1; step <= 6; step++)
      last = repository.commit(`step ${step}`, { 'a.c': lines(20, { 10: `step ${step}` }) });
    const found = await series({ 'CVE-2026-1001': last });
    assert.deepEqual(shown(found).patches, []);
    assert.match(found.dropped[0]!.reason, /bound/);
    const wide = await series({ 'CVE-2026-1001': last }, { bounds: { depth: 9, commits: 9 } });
    assert.equal(wide.patches.length, 6);
    const narrow = await series({ 'CVE-2026-1001': last }, { bounds: { depth: 9, commits: 2 } });
    assert.match(narrow.dropped[0]!.reason, /needs more than 2 other commits/);
  }));

test('the fix of a fix joins by itself; a reverted fix leaves; a revert that was reverted does not count', () =>
  within({ 'a.c': lines(20), 'b.c': lines(20) }, async ({ repository, series }) => {
    const one = repository.commit(`one\n\ncommit ${upstream('a')} upstream.`, { 'a.c': lines(20, { 2: 'x' }) });
    const two = repository.commit('two', { 'b.c': lines(20, { 2: 'x' }) });
    const again = repository.commit(`repair one\n\nFixes: ${'a'.repeat(12)} ("one")`, {
      'a.c': lines(20, { 2: 'x', 15: 'z' }),
    });
    repository.commit(`repair the repair\n\nFixes: ${again.slice(0, 12)} ("repair one")`, {
      'a.c': lines(20, { 2: 'x', 15: 'zz' }),
    });
    const revert = repository.commit(`Revert "two"\n\nThis reverts commit ${two}.`, { 'b.c': lines(20) });
    const wanted = { 'CVE-2026-1001': one, 'CVE-2026-1002': two };
    const found = await series(wanted);
    assert.deepEqual(shown(found).patches, [
      ['one', 'fix', 'CVE-2026-1001'],
      ['repair one', 'fix of a fix', ''],
      ['repair the repair', 'fix of a fix', ''],
    ]);
    assert.deepEqual(shown(found).dropped, [['two', `reverted by ${revert.slice(0, 12)} (Revert "two")`]]);
    repository.commit(`Reapply "two"\n\nThis reverts commit ${revert}.`, { 'b.c': lines(20, { 2: 'x' }) });
    assert.ok(shown(await series(wanted)).patches.some(([subject]) => subject === 'two'));
  }));

test('what is excluded leaves with everything that depends on it, and the rest ships', () =>
  within({ 'a.c': lines(20), 'b.c': lines(20) }, async ({ repository, series }) => {
    const one = repository.commit('one', { 'a.c': lines(20, { 2: 'x' }) });
    const repair = repository.commit(`repair one\n\nFixes: ${one} ("one")`, { 'a.c': lines(20, { 2: 'x', 15: 'z' }) });
    const two = repository.commit('two', { 'b.c': lines(20, { 2: 'x' }) });
    const wanted = { 'CVE-2026-1001': one, 'CVE-2026-1002': two };
    const without = await series(wanted, { excluded: new Map([[one, 'the build refuses it']]) });
    assert.deepEqual(shown(without).patches, [['two', 'fix', 'CVE-2026-1002']]);
    const flawed = await series(wanted, { excluded: new Map([[repair, 'the build refuses it']]) });
    assert.deepEqual(
      shown(flawed).patches,
      [['two', 'fix', 'CVE-2026-1002']],
      'a fix is not shipped without its own fix',
    );
    assert.match(
      flawed.dropped.find(({ commit }) => commit.id === one)!.reason,
      /its fix .* is left out: the build refuses it/,
    );
  }));

test('a source that is not in the repository is imported; the repository stays as it is', () =>
  within({ 'a.c': lines(20) }, async ({ repository, git, history }) => {
    const fix = repository.commit('fix', { 'a.c': lines(20, { 2: 'x' }) });
    using folder = temporaryFolder('kpatch-source-');
    const other = new TestRepository(join(folder.path, 'source'), { 'a.c': lines(20, { 18: 'of the distribution' }) });
    const imported = await git.importTree(other.folder);
    const all = await history();
    const found = await makeSeries([{ commit: all.get(fix)!, cves: ['CVE-2026-1001'] }], all, git, imported);
    assert.equal(found.patches.length, 1);
    assert.throws(() => repository.git('cat-file', '-e', imported));
    assert.equal(repository.git('status', '--porcelain'), '');
  }));

test('what is not a repository is refused', async () => {
  using folder = temporaryFolder('kpatch-factory-');
  await provokes('factory-repository', () => Git.open(folder.path));
});
