import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { assess } from '#kpatch/advisory/assess.ts';
import { fixedBetween, parseChangelog, readChangelog } from '#kpatch/advisory/formats/changelog.ts';
import { versionsFor } from '#kpatch/advisory/kernel.ts';
import { severityOf, statusAt } from '#kpatch/advisory/record.ts';
import { defaultSelection, select, selectionOf } from '#kpatch/advisory/selection.ts';
import { readDocument, readSources } from '#kpatch/advisory/sources.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { writeModule } from '../channel/module-file.ts';
import { provokes } from '../provoke.ts';

/** A record as the kernel's CNA writes it; CVSS is in the container of another provider. */
const cve5 = {
  dataType: 'CVE_RECORD',
  dataVersion: '5.1',
  cveMetadata: { cveId: 'CVE-2026-1001', state: 'PUBLISHED', assignerShortName: 'Linux' },
  containers: {
    cna: {
      providerMetadata: { shortName: 'Linux' },
      title: 'tls: fix race between async notify and socket close',
      descriptions: [
        { lang: 'en', value: 'In the Linux kernel, the following vulnerability has been resolved:\n\ntls: fix' },
      ],
      affected: [
        {
          product: 'Linux',
          vendor: 'Linux',
          defaultStatus: 'unaffected',
          programFiles: ['net/tls/tls_sw.c'],
          versions: [{ version: '0cada33241d9', lessThan: '7a3ca06d04d5', status: 'affected', versionType: 'git' }],
        },
        {
          product: 'Linux',
          vendor: 'Linux',
          defaultStatus: 'affected',
          programFiles: ['net/tls/tls_sw.c'],
          versions: [
            { version: '5.7', status: 'affected' },
            { version: '0', lessThan: '5.7', status: 'unaffected', versionType: 'semver' },
            { version: '6.1.192', lessThanOrEqual: '6.1.*', status: 'unaffected', versionType: 'semver' },
            { version: '6.8', lessThanOrEqual: '*', status: 'unaffected', versionType: 'original_commit_for_fix' },
          ],
        },
      ],
    },
    adp: [
      {
        providerMetadata: { shortName: 'CISA-ADP' },
        metrics: [{ cvssV3_1: { baseScore: 7.8, vectorString: 'CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H' } }],
      },
    ],
  },
};

const osv = {
  id: 'DEBIAN-CVE-2026-1002',
  modified: '2026-11-01T00:00:00Z',
  upstream: ['CVE-2026-1002'],
  details: 'nfsd: fix a leak',
  severity: [{ type: 'CVSS_V4', score: 'CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H' }],
  affected: [
    {
      package: { ecosystem: 'Debian:12', name: 'linux' },
      ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '6.1.191-1' }] }],
    },
    {
      package: { ecosystem: 'Debian:13', name: 'linux' },
      ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }] }],
    },
  ],
};

/** As Red Hat's VEX files are: a stream, the package in it, the relationship that joins the two. */
const vex = {
  document: {
    csaf_version: '2.0',
    category: 'csaf_vex',
    title: 'kernel: a hole',
    publisher: { name: 'Red Hat Product Security' },
    aggregate_severity: { text: 'Low' },
  },
  product_tree: {
    branches: [
      {
        category: 'vendor',
        branches: [
          {
            category: 'product_version',
            product: {
              product_id: 'kernel-0:5.14.0-427.20.1.el9_4.x86_64',
              product_identification_helper: { purl: 'pkg:rpm/redhat/kernel@5.14.0-427.20.1.el9_4?arch=x86_64' },
            },
          },
          {
            category: 'product_version',
            product: {
              product_id: 'bash-0:5.1-1.x86_64',
              product_identification_helper: { purl: 'pkg:rpm/redhat/bash@5.1-1?arch=x86_64' },
            },
          },
        ],
      },
    ],
    relationships: [
      {
        product_reference: 'kernel-0:5.14.0-427.20.1.el9_4.x86_64',
        relates_to_product_reference: 'BaseOS-9.4',
        full_product_name: { product_id: 'BaseOS-9.4:kernel-0:5.14.0-427.20.1.el9_4.x86_64' },
      },
    ],
  },
  vulnerabilities: [
    {
      cve: 'CVE-2026-1003',
      title: 'kernel: a hole in the filesystem',
      product_status: { fixed: ['BaseOS-9.4:kernel-0:5.14.0-427.20.1.el9_4.x86_64', 'BaseOS-9.4:bash-0:5.1-1.x86_64'] },
      scores: [{ cvss_v3: { baseScore: 5.5, vectorString: 'CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H' } }],
      threats: [{ category: 'impact', details: 'Important' }],
    },
  ],
};

const changelogText = `linux (6.1.192-1) bookworm-security; urgency=high

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.1.192
    - smb: client: fix OOB read/write from unvalidated DataOffset in
      coalesce_t2() (CVE-2026-1004)
    - nfsd: second part (CVE-2026-1006)
    - two at once (CVE-2026-1007, CVE-2026-1008)

 -- A Maintainer <a@example.org>  Sun, 01 Nov 2026 10:00:00 +0100

linux (6.1.190-1) bookworm-security; urgency=high

  * nfsd: first part (CVE-2026-1006)
  * long ago (CVE-2026-1005)

 -- A Maintainer <a@example.org>  Thu, 01 Oct 2026 10:00:00 +0200
`;

test('a record of the kernel’s CNA: versions, files, and the rating of another provider', () => {
  const [record] = readDocument(cve5, 'a.json');
  assert.equal(record!.id, 'CVE-2026-1001');
  assert.deepEqual(record!.files, ['net/tls/tls_sw.c']);
  assert.equal(severityOf(record!)!.level, 'important');
  assert.equal(severityOf(record!)!.by, 'CVSS 3.1 7.8 by CISA-ADP');
  const [upstream] = record!.applies;
  const at = ['4.19', '5.7', '6.1.190', '6.1.192', '6.1.200', '6.2', '6.7.1', '6.8', '6.12.3'].map((v) =>
    statusAt(upstream!, v),
  );
  const [yes, no] = ['affected', 'unaffected'];
  assert.deepEqual(at, [no, yes, yes, no, no, yes, yes, no, no]);
});

test('an OSV record: CVE from `upstream`, ranges of packages, CVSS 4 computed from its vector', () => {
  const [record] = readDocument(osv, 'a.json');
  assert.equal(record!.id, 'CVE-2026-1002');
  assert.equal(severityOf(record!)!.level, 'critical');
  assert.deepEqual(
    record!.applies.map((applies) => statusAt(applies, '6.1.190-1')),
    ['affected', 'affected'],
  );
  assert.equal(statusAt(record!.applies[0]!, '6.1.191-1'), 'unaffected');
});

test('a VEX document: the vendor’s word comes before the score, other packages do not count', () => {
  const [record] = readDocument(vex, 'a.json');
  assert.equal(severityOf(record!)!.level, 'important');
  assert.equal(record!.applies.length, 1);
  assert.equal(statusAt(record!.applies[0]!, '5.14.0-427.13.1.el9_4'), 'affected');
  assert.equal(statusAt(record!.applies[0]!, '5.14.0-427.20.1.el9_4'), 'unaffected');
});

test('a Debian changelog: lines that wrap, several ids in one, second parts of a fix', () => {
  const changelog = parseChangelog(changelogText, 'c')!;
  assert.deepEqual(
    changelog.entries.map((entry) => entry.version),
    ['6.1.192-1', '6.1.190-1'],
  );
  assert.equal(changelog.entries[0]!.date, '2026-11-01T09:00:00.000Z');
  const fixed = fixedBetween(changelog, '6.1.190-1', '6.1.192-1');
  assert.deepEqual(
    fixed.map((fix) => [fix.cve, fix.again]),
    [
      ['CVE-2026-1004', false],
      ['CVE-2026-1006', true],
      ['CVE-2026-1007', false],
      ['CVE-2026-1008', false],
    ],
  );
  assert.equal(fixed[0]!.title, 'smb: client: fix OOB read/write from unvalidated DataOffset in coalesce_t2()');
});

test('the changelog of a signed package has the versions of the package it was made from', () => {
  const signed = changelogText.replaceAll('linux (6.1.192-1)', 'linux-signed-amd64 (6.1.192+1)');
  assert.equal(parseChangelog(signed, 'c')!.entries[0]!.version, '6.1.192-1');
});

test('an rpm changelog', () => {
  const text =
    '* Wed Oct 07 2026 A Builder <b@example.org> [5.14.0-427.20.1.el9_4]\n- fs: fix a hole (A Person) [RHEL-1] {CVE-2026-1003}\n\n* Wed Sep 02 2026 A Builder <b@example.org> [5.14.0-427.13.1.el9_4]\n- nothing\n';
  const changelog = parseChangelog(text, 'c')!;
  assert.equal(changelog.scheme, 'rpm');
  assert.deepEqual(
    fixedBetween(changelog, '5.14.0-427.13.1.el9_4', '5.14.0-427.20.1.el9_4').map((fix) => fix.cve),
    ['CVE-2026-1003'],
  );
});

test('the whole answer: selected, covered, left to the reboot, each with its reason', () => {
  const policy = selectionOf(
    {
      least: 'important',
      subsystems: [{ match: 'net/tls/', take: false, reason: 'not used here' }],
      cves: { 'CVE-2026-1004': { take: true, reason: 'exploited in the wild' } },
    },
    'policy.json',
  );
  const advisories = new Map(
    [cve5, osv].flatMap((document) => readDocument(document, 'f')).map((record) => [record.id, record]),
  );
  const kernel = { scheme: 'deb', from: '6.1.190-1', to: '6.1.192-1', distribution: 'Debian:12' } as const;
  const answer = assess(
    kernel,
    advisories,
    [parseChangelog(changelogText, 'c')!],
    policy,
    new Set(['CVE-2026-1002', 'CVE-2026-9999']),
  );
  const row = (cve: string) => answer.cves.find((entry) => entry.cve === cve)!;
  assert.deepEqual(answer.counts, { fixed: 7, selected: 2, covered: 2, awaited: 1, reboot: 4 });
  assert.equal(row('CVE-2026-1002').verdict, 'covered');
  assert.equal(row('CVE-2026-1002').fixedIn, '6.1.191-1');
  assert.equal(row('CVE-2026-1004').verdict, 'awaited');
  assert.match(row('CVE-2026-1004').reason, /exploited in the wild/);
  assert.equal(row('CVE-2026-1001').verdict, 'reboot');
  assert.match(row('CVE-2026-1001').reason, /net\/tls\/: not used here/);
  assert.match(row('CVE-2026-1007').reason, /no source rates/);
  assert.match(row('CVE-2026-1006').reason, /an earlier version fixed part/);
  assert.equal(answer.cves[0]!.cve, 'CVE-2026-1004', 'what is selected and not fixed stands first');
});

test('the default selection takes important and critical', () => {
  const take = (document: object): boolean => select(defaultSelection, readDocument(document, 'f')[0]!).taken;
  assert.equal(take(cve5), true);
  assert.equal(take({ ...cve5, containers: { cna: cve5.containers.cna } }), false);
  assert.equal(take({ ...cve5, cveMetadata: { ...cve5.cveMetadata, state: 'REJECTED' } }), false);
});

test('a selection that is not understood is refused; one under its first name is read', async () => {
  assert.equal(selectionOf({ schema: 'kpatch.policy/1', least: 'low' }, 'selection.json').least, 'low');
  for (const bad of [
    [],
    { lest: 'important' },
    { least: 'huge' },
    { unrated: 'perhaps' },
    { subsystems: {} },
    { subsystems: [{ match: '', take: true, reason: 'x' }] },
    { cves: { 'CVE-1': { take: true, reason: 'x' } } },
    { cves: { 'CVE-2026-1001': { take: true } } },
    { cves: { 'CVE-2026-1001': { take: 'yes', reason: 'x' } } },
    { schema: 'kpatch.policy/2' },
    { schema: 'kpatch.host-policy/1' },
  ]) {
    await provokes('advisory-selection', () => selectionOf(bad, 'policy.json'));
  }
});

test('files of no known format are named, in a folder they are only noted', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder.path, name), content);
    return join(folder.path, name);
  };
  await provokes('channel-not-json', () => readSources([file('a.json', '{"dataType":')]));
  await provokes('channel-unknown-advisory', () => readSources([file('b.json', '{}')]));
  await provokes('channel-not-changelog', () => readSources([file('c', 'hello')]));
  await provokes('channel-not-changelog', () => readChangelog(file('d.gz', gzipSync('x').subarray(0, 15))));
  await provokes('file-unreadable', () => readSources([join(folder.path, 'none')]));
  const sub = join(folder.path, 'sub');
  mkdirSync(sub);
  writeFileSync(join(sub, 'x.json'), '[]]');
  writeFileSync(join(sub, 'y.json'), JSON.stringify(cve5));
  const sources = readSources([sub]);
  assert.equal(sources.advisories.size, 1);
  assert.equal(sources.skipped.length, 1);
});

test('documents of the wrong shape give no record and no crash', () => {
  const odd = [null, 1, 'x', [], {}, [[]], { a: [] }, Object.create(null) as object];
  for (const part of odd) {
    readDocument(
      { dataType: 'CVE_RECORD', dataVersion: '5.0', cveMetadata: { cveId: 'CVE-2026-1' }, containers: part },
      'f',
    );
    readDocument({ ...cve5, containers: { cna: part, adp: part } }, 'f');
    readDocument({ ...osv, affected: part, severity: part }, 'f');
    readDocument({ ...osv, affected: [part] }, 'f');
    readDocument({ ...vex, product_tree: part }, 'f');
    readDocument(
      { ...vex, vulnerabilities: [part, { cve: 'CVE-2026-1003', scores: part, threats: part, product_status: part }] },
      'f',
    );
  }
  let deep: object = {};
  for (let n = 0; n < 5000; n++) deep = { branches: [deep] };
  assert.equal(readDocument({ ...vex, product_tree: deep }, 'f').length, 1);
});

test('the version of a kernel that nobody knows has to be given', async () => {
  using folder = temporaryFolder('kpatch-test-');
  await provokes('channel-kernel-version', () => versionsFor('9.9.9-none', [], {}, folder.path));
  const rhel = await versionsFor('5.14.0-427.13.1.el9_4.x86_64', [], {}, folder.path);
  assert.deepEqual(rhel, { scheme: 'rpm', from: '5.14.0-427.13.1.el9_4', to: '5.14.0-427.13.1.el9_4' });
});

test('the command answers for a module’s CVEs, as text and as JSON', () => {
  using folder = temporaryFolder('kpatch-test-');
  const module = writeModule(folder.path, { cves: ['CVE-2026-1004'] });
  const changelog = join(folder.path, 'changelog.gz');
  writeFileSync(changelog, gzipSync(changelogText));
  const kpatch = (...args: string[]) =>
    spawnSync(
      'bin/kpatch',
      ['advisory', '--kernel', '6.1.0-55-amd64', '--from', '6.1.190-1', '-m', module, '--json', ...args],
      { encoding: 'utf8' },
    );
  const said = kpatch('--', changelog);
  assert.equal(said.status, 0, said.stderr + said.stdout);
  const answer = JSON.parse(said.stdout);
  assert.deepEqual(answer.counts, { fixed: 4, selected: 0, covered: 1, awaited: 0, reboot: 3 });
  const text = spawnSync('bin/kpatch', ['advisory', '--from', '6.1.190-1', '-m', module, '--', changelog], {
    encoding: 'utf8',
  });
  assert.match(text.stdout, /Fixed by the live patch:\n {2}CVE-2026-1004/);
});
