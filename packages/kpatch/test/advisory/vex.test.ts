import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import * as csafTests from '@secvisogram/csaf-validator-lib/mandatoryTests.js';
import { csaf_2_0 as csafSchema } from '@secvisogram/csaf-validator-lib/schemaTests.js';
import csafValidate from '@secvisogram/csaf-validator-lib/validate.js';
import { Ajv } from 'ajv';
import { type Answer, answers, type TriagedCve } from '#kpatch/advisory/triage/answer.ts';
import { csafVex } from '#kpatch/advisory/vex/csaf-vex.ts';
import { openVex } from '#kpatch/advisory/vex/openvex.ts';
import { ovalFeed } from '#kpatch/advisory/vex/oval.ts';
import { purlOf, type VexInput } from '#kpatch/advisory/vex/subject.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { openVexSchema } from './openvex-schema.ts';

const subject = {
  release: '6.1.0-47-amd64',
  version: '6.1.170-3',
  scheme: 'deb',
  distribution: 'Debian:12',
  arch: 'x86_64',
  host: 'machine.example.org',
} as const;

const one = (cve: string, answer: Answer, by?: string): TriagedCve => ({
  cve,
  title: 'a "flaw" <in> it & that',
  answer,
  ...(by === undefined ? {} : { by }),
  evidence: [{ kind: 'code', by: 'the source', text: 'why' }],
  objects: [],
  severity: 'important',
  exploited: false,
  selected: true,
  selection: 'important',
});

const all = answers.map((answer, at) => one(`CVE-2026-100${at}`, answer, answer === 'open' ? '6.1.176-1' : undefined));
const input: VexInput = { subject, cves: all, date: '2026-11-30T10:00:00.000Z', tool: '0.1.0' };

test('OpenVEX: valid, one statement a CVE, with a justification or an action', () => {
  const document = openVex(input) as { statements: { status: string; action_statement?: string }[] };
  const validate = new Ajv({ strict: false }).compile(openVexSchema);
  assert.ok(validate(document), JSON.stringify(validate.errors));
  assert.deepEqual(
    document.statements.map(({ status }) => status),
    ['not_affected', 'not_affected', 'fixed', 'affected', 'under_investigation'],
  );
  assert.match(document.statements[3]!.action_statement!, /version 6\.1\.176-1 or newer/);
  assert.equal(validate(openVex({ ...input, cves: [] })), false, 'a document without statements is not valid');
});

test('CSAF VEX: valid by the schema and by every mandatory test of the standard', async () => {
  const document = csafVex(input, { name: 'machine', namespace: 'https://machine.example.org' });
  const checks = [csafSchema, ...Object.values(csafTests)];
  const result = await csafValidate(checks, document);
  assert.ok(result.isValid, JSON.stringify(result.tests.filter((one) => !one.isValid)));
  assert.ok(checks.length > 20);
});

test('a package URL names the kernel package, the distribution and the machine', () => {
  assert.equal(purlOf(subject), 'pkg:deb/debian/linux-image-6.1.0-47-amd64@6.1.170-3?arch=x86_64&distro=debian-12');
  const rpm = { release: '5.14.0-1.el9.x86_64', version: '5.14.0-1.el9', scheme: 'rpm', arch: 'x86_64' } as const;
  assert.equal(
    purlOf({ ...rpm, distribution: 'Red Hat:9.4' }),
    'pkg:rpm/redhat/kernel@5.14.0-1.el9?arch=x86_64&distro=redhat-9.4',
  );
  assert.equal(purlOf(rpm), 'pkg:rpm/kernel@5.14.0-1.el9?arch=x86_64');
});

/** What oscap says of each definition on a machine with these files. */
function scan(feed: string, files: Readonly<Record<string, string>>): Record<string, string> {
  using folder = temporaryFolder('kpatch-oval-');
  const root = join(folder.path, 'root');
  mkdirSync(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
  const file = join(folder.path, 'feed.xml');
  writeFileSync(file, feed);
  const env = { ...process.env, NODE_OPTIONS: '', OSCAP_PROBE_ROOT: root };
  const valid = spawnSync('oscap', ['oval', 'validate', file], { encoding: 'utf8' });
  assert.equal(valid.status, 0, valid.stdout + valid.stderr);
  const said = spawnSync('oscap', ['oval', 'eval', file], { encoding: 'utf8', env });
  assert.equal(said.status, 0, said.stderr);
  return Object.fromEntries(
    [...said.stdout.matchAll(/^Definition oval:kpatch:def:\d{4}0*(\d+): (\w+)$/gm)].map(([, id, word]) => [id!, word!]),
  );
}

test('OpenSCAP judges by the running kernel and its active live patches', () => {
  const cves = [...all, one('CVE-2026-2000', 'fixed', 'kpatch_1')];
  const patches = new Map([['CVE-2026-2000', ['kpatch_1', 'kpatch_2']]]);
  const feed = ovalFeed([{ release: subject.release, cves, patches }], '2026-11-30T10:00:00', '0.1.0');
  const machine = { 'proc/sys/kernel/osrelease': subject.release };
  const patch = (name: string, enabled: string, transition: string) => ({
    [`sys/kernel/livepatch/${name}/enabled`]: enabled,
    [`sys/kernel/livepatch/${name}/transition`]: transition,
  });
  const bare = { 1000: 'false', 1001: 'false', 1002: 'false', 1003: 'true', 1004: 'unknown' };
  assert.deepEqual(scan(feed, machine), { ...bare, 2000: 'true' });
  assert.equal(scan(feed, { ...machine, ...patch('kpatch_2', '1', '0') })[2000], 'false');
  assert.equal(
    scan(feed, { ...machine, ...patch('kpatch_1', '0', '1') })[2000],
    'true',
    'a patch that is being disabled',
  );
  assert.equal(scan(feed, { ...machine, ...patch('kpatch_1', '1', '1') })[2000], 'true', 'an incomplete transition');
  assert.equal(scan(feed, { ...machine, ...patch('kpatch_9', '1', '0') })[2000], 'true', 'another patch');
  const other = scan(feed, { 'proc/sys/kernel/osrelease': '6x1x0-47-amd64' });
  assert.deepEqual(new Set(Object.values(other)), new Set(['false']));
});
