import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseChangelog } from '#kpatch/advisory/formats/changelog.ts';
import { type Advisory, join as joined } from '#kpatch/advisory/record.ts';
import { defaultSelection } from '#kpatch/advisory/selection.ts';
import { readDocument } from '#kpatch/advisory/sources.ts';
import { effective } from '#kpatch/advisory/triage/effective.ts';
import type { Fix, KernelCode, TriageKernel } from '#kpatch/advisory/triage/kernel.ts';
import { triage, triageAll, withNamed } from '#kpatch/advisory/triage/triage.ts';
import { cveRecord, type RecordFacts } from './records.ts';

const kernel: TriageKernel = {
  release: '6.1.0-47-amd64',
  scheme: 'deb',
  version: '6.1.170-3',
  distribution: 'Debian:12',
  suite: 'bookworm',
  changelogs: [],
  live: new Map(),
};

const advisory = (facts: Partial<RecordFacts> = {}, ...more: object[]): Advisory =>
  [cveRecord({ id: 'CVE-2026-1001', from: '5.7', fixedVersions: ['6.1.175', '6.6.90', '6.15'], ...facts }), ...more]
    .flatMap((document) => readDocument(document, 'f'))
    .reduce(joined);

const answer = (one: Advisory, fields: Partial<TriageKernel> = {}) =>
  triage(one, { ...kernel, ...fields }, defaultSelection);

const tracker = (release: object): object => ({ linux: { 'CVE-2026-1001': { releases: { bookworm: release } } } });

const changelog = (...entries: (readonly [string, string])[]) =>
  parseChangelog(
    entries
      .map(
        ([version, cves]) =>
          `linux (${version}) bookworm-security; urgency=high\n\n  * a fix (${cves})\n\n -- A B <a@example.org>  Sun, 01 Nov 2026 10:00:00 +0100\n`,
      )
      .join('\n'),
    'changelog',
  )!;

/** A source of one file. */
const sourceOf = (text: string | undefined, built: boolean): KernelCode => ({
  text: () => text,
  built: () => (built ? { state: 'built', objects: ['tun'] } : { state: 'not built', reason: 'it is not compiled' }),
});

const fix: Fix = {
  name: '0123456789ab',
  hunks: [
    {
      path: 'net/core/dev.c',
      before: ['int f(int length)', '{', '\tcopy(buffer, length);', '}'],
      after: [
        'int f(int length)',
        '{',
        '\tif (length > sizeof(buffer))',
        '\t\treturn -EINVAL;',
        '\tcopy(buffer, length);',
        '}',
      ],
    },
  ],
};
const flawed = 'int f(int length)\n{\n        copy(buffer, length);\n}\n';
const repaired =
  'int f(int length)\n{\n\tif (length > sizeof(buffer))\n\t\treturn -EINVAL;\n\tcopy(buffer, length);\n}\n';

test('ranges of upstream versions: affected, fixed in this series, never affected', () => {
  const at = (facts: Partial<RecordFacts>, version: string) => {
    const { answer: word, by } = answer(advisory(facts), { version });
    return [word, by];
  };
  assert.deepEqual(at({}, '6.1.170-3'), ['open', '6.1.175']);
  assert.deepEqual(at({}, '6.1.176-1'), ['fixed', '6.1.175']);
  assert.deepEqual(at({ from: '6.2' }, '6.1.170-3'), ['not affected', undefined]);
  assert.deepEqual(at({ fixedVersions: ['6.6.90', '6.15'] }, '6.1.170-3'), ['open', undefined]);
  // The flaw came to 6.1 with 6.1.135, long after the series began.
  const carried = { from: '6.15', carried: [['6.1.135', '6.1.175']] as const };
  assert.deepEqual(at(carried, '6.1.170-3'), ['open', '6.1.175']);
  assert.deepEqual(at(carried, '6.1.130-1'), ['not affected', undefined]);
});

test('a kernel that does not follow the stable series is not safe because of its version', () => {
  const found = answer(advisory({ from: '5.15' }), { scheme: 'rpm', version: '5.14.0-427.13.1.el9_4' });
  assert.equal(found.answer, 'unknown');
  assert.match(found.evidence[0]!.text, /does not follow the stable series/);
});

test('a record with only commits, or with errors, decides nothing', () => {
  assert.equal(answer(advisory({ from: undefined as never, fixedVersions: [] })).answer, 'unknown');
  const wrong = answer(advisory({ from: '6.2', fixed: ['xyz'] }));
  assert.equal(wrong.answer, 'unknown');
  assert.ok(wrong.evidence.some(({ kind, text }) => kind === 'record' && /"xyz" is not the id of a commit/.test(text)));
  const several = advisory({ from: '6.15', introduced: ['b'.repeat(40), 'c'.repeat(40)] });
  assert.equal(answer(several).answer, 'unknown', 'an old record does not say which series the flaw was carried to');
  assert.equal(answer(advisory({ carried: [['6.6.20', '6.6.10']], from: '6.2' })).answer, 'unknown');
});

test('the distribution’s word on its own package counts before upstream versions', () => {
  const fixed = answer(advisory({}, tracker({ status: 'resolved', fixed_version: '6.1.170-2' })));
  assert.deepEqual([fixed.answer, fixed.by], ['fixed', '6.1.170-2']);
  const open = answer(advisory({ from: '6.2' }, tracker({ status: 'open' })));
  assert.equal(open.answer, 'open');
  assert.equal(answer(advisory({}, tracker({ status: 'resolved', fixed_version: '0' }))).answer, 'not affected');
  const undetermined = tracker({ status: 'undetermined' });
  assert.equal(answer(advisory({ from: '6.2' }, undetermined)).answer, 'unknown', 'not rounded to safe');
  assert.equal(answer(advisory({}, undetermined)).answer, 'open');
  assert.equal(
    answer(advisory({}, { linux: { 'CVE-2026-1001': { releases: { sid: { status: 'open' } } } } })).by,
    '6.1.175',
  );
});

test('sources of a distribution that disagree give unknown', () => {
  const found = answer(advisory({}, tracker({ status: 'open' })), {
    changelogs: [changelog(['6.1.170-1', 'CVE-2026-1001'])],
  });
  assert.equal(found.answer, 'unknown');
  assert.equal(found.evidence[0]!.kind, 'contradiction');
});

test('a changelog: named before, named after, named in both', () => {
  const at = (...entries: (readonly [string, string])[]) => answer(advisory(), { changelogs: [changelog(...entries)] });
  assert.equal(at(['6.1.169-1', 'CVE-2026-1001']).by, '6.1.169-1');
  assert.deepEqual(
    [at(['6.1.176-1', 'CVE-2026-1001']).answer, at(['6.1.176-1', 'CVE-2026-1001']).by],
    ['open', '6.1.176-1'],
  );
  const both = at(['6.1.176-1', 'CVE-2026-1001'], ['6.1.169-1', 'CVE-2026-1001']);
  assert.equal(both.answer, 'open');
  assert.match(both.evidence[0]!.text, /6\.1\.169-1 fixed part of it/);
});

test('the source decides what versions leave open, and contradicts what they say wrongly', () => {
  const fixes = () => [fix];
  const at = (facts: Partial<RecordFacts>, text: string | undefined) =>
    answer(advisory(facts), { fixes, code: sourceOf(text, true) });
  assert.deepEqual([at({}, repaired).answer, at({}, repaired).by], ['fixed', '6.1.170-3']);
  assert.equal(at({}, flawed).answer, 'open');
  assert.equal(at({ from: '6.2' }, flawed).answer, 'unknown');
  assert.equal(at({ from: '6.2' }, repaired).answer, 'not affected');
  assert.equal(at({ from: '6.2' }, 'something else\n').answer, 'not affected');
  assert.equal(at({}, 'something else\n').answer, 'open');
  assert.match(at({}, undefined).evidence[0]!.text, /the source has no net\/core\/dev\.c/);
  const other = {
    ...fix.hunks[0]!,
    before: ['a_call(one);', 'b_call(two);'],
    after: ['a_call(one);', 'c_call(three);'],
  };
  const two = answer(advisory(), {
    fixes: () => [{ name: 'f', hunks: [...fix.hunks, other] }],
    code: sourceOf(`${repaired}a_call(one);\nb_call(two);\n`, true),
  });
  assert.equal(two.answer, 'open', 'a fix of which only a part is there');
});

test('configuration: files that are not compiled, files of a fix, files that are not known', () => {
  const none = answer(advisory(), { code: sourceOf('', false) });
  assert.equal(none.answer, 'not in this configuration');
  const built = answer(advisory(), {
    code: sourceOf('', true),
    modules: { loaded: new Set(['tun']), installed: new Set(['tun']) },
  });
  assert.deepEqual(built.objects, [{ name: 'tun', reach: 'loaded' }]);
  const code: KernelCode = {
    text: () => undefined,
    built: (path) =>
      path === 'a.c' ? { state: 'not built', reason: 'no' } : { state: 'unknown', reason: 'no such file' },
  };
  assert.equal(answer(advisory({ files: ['a.c'] }), { code }).answer, 'not in this configuration');
  assert.equal(answer(advisory({ files: ['a.c', 'b.c'] }), { code }).answer, 'open');
  assert.equal(answer(advisory({ files: ['a.c'] }), { code, fixes: () => [fix] }).answer, 'open');
  assert.equal(answer(advisory({ files: [] }), { code }).answer, 'open');
});

test('a live patch fixes what it names; a rejected CVE is none, unless the distribution has it open', () => {
  const live = answer(advisory(), { live: new Map([['CVE-2026-1001', 'kpatch_1']]) });
  assert.deepEqual([live.answer, live.by], ['fixed', 'kpatch_1']);
  assert.equal(answer(advisory({ state: 'REJECTED' })).answer, 'not affected');
  assert.equal(answer(advisory({ state: 'REJECTED' }, tracker({ status: 'open' }))).answer, 'unknown');
});

test('what is known to be exploited is selected, whatever its severity', () => {
  const kev = {
    catalogVersion: '2026.11.01',
    vulnerabilities: [
      { cveID: 'CVE-2026-1001', vendorProject: 'Linux', product: 'Kernel', dateAdded: '2026-10-01' },
      { cveID: 'CVE-2026-1002', vendorProject: 'Other', product: 'Thing', dateAdded: '2026-10-01' },
    ],
  };
  assert.equal(readDocument(kev, 'f').length, 1);
  const found = answer(advisory({}, kev));
  assert.deepEqual([found.exploited, found.selected], [true, true]);
  assert.equal(answer(advisory()).selected, false);
});

test('the effective release: everything up to it is done, and what is missing for the next', () => {
  const changelogs = [
    changelog(
      ['6.1.192-1', 'CVE-2026-1004'],
      ['6.1.190-1', 'CVE-2026-1003'],
      ['6.1.176-1', 'CVE-2026-1001, CVE-2026-1002'],
      ['6.1.170-3', 'CVE-2026-1000'],
    ),
  ];
  const advisories = withNamed(new Map(), changelogs);
  const of = (live: readonly string[], ignores?: (cve: { cve: string } | undefined) => boolean) => {
    const patched = { ...kernel, changelogs, live: new Map(live.map((cve) => [cve, 'kpatch_1'])) };
    const triaged = new Map(triageAll(advisories, patched, defaultSelection).map((one) => [one.cve, one]));
    return effective(patched, advisories, triaged, ignores);
  };
  assert.equal(of([]).release, '6.1.170-3');
  assert.equal(of(['CVE-2026-1001']).release, '6.1.170-3', 'never rounded up');
  assert.deepEqual(
    of(['CVE-2026-1001']).next?.missing.map(({ cve }) => cve),
    ['CVE-2026-1002'],
  );
  assert.equal(of(['CVE-2026-1001', 'CVE-2026-1002', 'CVE-2026-1004']).release, '6.1.176-1');
  const whole = of(['CVE-2026-1001', 'CVE-2026-1002', 'CVE-2026-1003', 'CVE-2026-1004']);
  assert.deepEqual([whole.release, whole.next, whole.known], ['6.1.192-1', undefined, 3]);
  assert.equal(of(['CVE-2026-1001', 'CVE-2026-1002'], (one) => one?.cve === 'CVE-2026-1003').release, '6.1.190-1');
  // A record names what the changelog does not.
  const more = new Map([...advisories, ['CVE-2026-2000', { ...advisory(), id: 'CVE-2026-2000' }]]);
  const patched = { ...kernel, changelogs, live: new Map([...advisories.keys()].map((cve) => [cve, 'kpatch_1'])) };
  const triaged = new Map(triageAll(more, patched, defaultSelection).map((one) => [one.cve, one]));
  assert.deepEqual(
    effective(patched, more, triaged).next?.missing.map(({ cve }) => cve),
    ['CVE-2026-2000'],
  );
});

interface Facts {
  readonly id: string;
  readonly title: string;
  readonly files: string[];
  readonly fixedVersions: string[];
  readonly affectedFrom: string | null;
  readonly introduced: string[];
  readonly fixed: { commit: string }[];
  readonly debianFixedIn: string;
}

test('80 real records: what Debian’s changelog fixed after 6.1.170-3 is never called safe at 6.1.170-3', () => {
  const file = join(import.meta.dirname, '../fixtures/cve/facts-2026.json');
  const facts = JSON.parse(readFileSync(file, 'utf8')) as Facts[];
  const advisories = new Map(
    facts
      .flatMap(({ affectedFrom, fixed, ...rest }) =>
        readDocument(
          cveRecord({
            ...rest,
            ...(affectedFrom === null ? {} : { from: affectedFrom }),
            fixed: fixed.map(({ commit }) => commit),
          }),
          'f',
        ),
      )
      .map((one) => [one.id, one]),
  );
  const byVersion = Map.groupBy(facts, ({ debianFixedIn }) => debianFixedIn);
  const changelogs = [
    changelog(...[...byVersion].map(([version, all]) => [version, all.map(({ id }) => id).join(', ')] as const)),
  ];
  const old = triageAll(advisories, { ...kernel, changelogs }, defaultSelection);
  assert.equal(old.length, 80);
  assert.deepEqual(
    old.filter(({ answer: word }) => word === 'fixed' || word === 'not affected'),
    [],
  );
  const fresh = triageAll(advisories, { ...kernel, changelogs, version: '6.1.192-3' }, defaultSelection);
  assert.deepEqual(
    fresh.filter(({ answer: word }) => word !== 'fixed').map(({ cve, evidence }) => [cve, evidence]),
    [],
  );
});
