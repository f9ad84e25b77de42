/** Readers of JSON documents: manifests, proofs, policies, records of CVEs, state of the machine. */
import { selectionOf } from '#kpatch/advisory/selection.ts';
import { readDocument } from '#kpatch/advisory/sources.ts';
import { parseJSON } from '#kpatch/base/plain.ts';
import { parseStrict } from '#kpatch/base/strict-json.ts';
import { readState } from '#kpatch/channel/follow/state.ts';
import { readRecord } from '#kpatch/channel/package/record.ts';
import { readConfig } from '#kpatch/channel/repository/config.ts';
import { bootGuardDocument } from '#kpatch/documents/definitions/stored.ts';
import { problemIn } from '#kpatch/documents/document.ts';
import { readPolicyFile } from '#kpatch/host/acceptance/policy.ts';
import { readIndex } from '#kpatch/host/store/store-index.ts';
import { parseManifest } from '#kpatch/module/manifest.ts';
import { parseProof } from '#kpatch/module/proof.ts';
import { payloadType, seal } from '#kpatch/provenance/envelope.ts';
import { readProvenance, readTestResult } from '#kpatch/provenance/statement.ts';
import { testResultOf } from '#kpatch/provenance/test-result.ts';
import { manifest } from '../module/made-module.ts';
import { sampleProof } from '../prove/sample-proof.ts';
import type { Target } from './driver.ts';
import { asFile } from './files.ts';

const json = (value: unknown): string => JSON.stringify(value);
const words = ['null', '{}', '[]', '""', 'true', '1e9', '"\\u0000"', ',', ':', '[[', '{"a":', '"__proto__":'];

/** JSON that is no document is the caller's error, not this reader's. */
const parsed = (read: (value: unknown) => unknown) => (bytes: Buffer) => {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  return read(value);
};

const cve5 = {
  dataType: 'CVE_RECORD',
  cveMetadata: { cveId: 'CVE-2026-1001', state: 'PUBLISHED' },
  containers: {
    cna: {
      title: 't',
      descriptions: [{ lang: 'en', value: 'v' }],
      affected: [
        {
          product: 'Linux',
          programFiles: ['a.c'],
          versions: [{ version: '5.7', lessThan: '6', status: 'affected', versionType: 'git' }],
        },
      ],
    },
    adp: [{ metrics: [{ cvssV3_1: { vectorString: 'CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H' } }] }],
  },
};
const osv = {
  id: 'CVE-2026-1',
  affected: [
    {
      package: { ecosystem: 'Linux', name: 'Kernel' },
      ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '6.1.2' }] }],
    },
  ],
  severity: [{ type: 'CVSS_V3', score: 'CVSS:3.1/AV:L' }],
};
const csaf = {
  document: { category: 'csaf_vex', title: 't', csaf_version: '2.0', tracking: { id: 'x' } },
  product_tree: { branches: [] },
  vulnerabilities: [{ cve: 'CVE-2026-1', product_status: { fixed: ['p'] }, scores: [{ products: ['p'] }] }],
};
const record = {
  schema: 'kpatch.livepatch/1',
  kernel: '6.1.0-57-amd64',
  arch: 'x86_64',
  version: 1,
  release: 1,
  module: { name: 'a', sha256: 'a'.repeat(64) },
  cves: [{ id: 'CVE-2026-1001' }],
  withdrawn: [],
};
const guard = {
  schema: 'kpatch.boot/1',
  blocked: [{ name: 'a', sha256: 'a'.repeat(64), at: '2026-01-01T00:00:00.000Z' }],
  survived: [],
  lost: [],
};
const index = {
  schema: 'kpatch.store/1',
  entries: [{ name: 'a', file: 'a.ko', sha256: 'a'.repeat(64), installed: '2026-01-01T00:00:00.000Z' }],
};
const policy = {
  schema: 'kpatch.host-policy/1',
  proof: { required: true, keys: [], maxAgeDays: 3 },
  update: 'install',
};

export const documentTargets: readonly Target[] = [
  {
    name: 'strict JSON',
    seeds: () => ['{"a":[1,{"b":"c\\"d"}]}'],
    words,
    read: (bytes) => parseJSON(bytes, 'x'),
    long: (bytes) => json(Array.from({ length: bytes >> 4 }, (_, i) => ({ [`a${i}`]: i }))),
  },
  {
    name: 'manifest',
    seeds: () => [json(manifest)],
    words,
    read: (bytes) => parseManifest(bytes.toString(), 'a.ko'),
    long: (bytes) => json({ ...manifest, cves: Array.from({ length: bytes >> 4 }, () => 'CVE-2026-1001') }),
  },
  {
    name: 'proof',
    seeds: () => [json(sampleProof('proven'))],
    words,
    read: (bytes) => parseProof(bytes, 'p'),
    long: (bytes) =>
      json({ ...sampleProof('proven'), reasons: Array.from({ length: bytes >> 4 }, () => 'because of that') }),
  },
  {
    name: 'host policy',
    seeds: () => [json(policy)],
    words,
    read: asFile('policy.json', (root, file) => readPolicyFile(file, root)),
  },
  {
    name: 'selection',
    seeds: () => [
      json({ schema: 'kpatch.selection/1', include: ['CVE-2026-1001'], exclude: [], minimumSeverity: 'low' }),
    ],
    words,
    read: parsed((value) => selectionOf(value, 's')),
  },
  ...[
    ['CVE 5', cve5],
    ['OSV', osv],
    ['CSAF', csaf],
    ['KEV', { catalogVersion: '1', vulnerabilities: [{ cveID: 'CVE-2026-1' }] }],
    ['tracker', { linux: { 'CVE-2026-1': { releases: { bookworm: { status: 'open', urgency: 'low' } } } } }],
  ].map(
    ([name, seed]): Target => ({
      name: `${name as string} record`,
      seeds: () => [json(seed)],
      words,
      read: parsed((value) => readDocument(value, 'r')),
    }),
  ),
  { name: 'live patch record', seeds: () => [json(record)], words, read: parsed((value) => readRecord(value, 'r')) },
  {
    name: 'guard state',
    seeds: () => [json(guard)],
    words,
    read: parsed((value) => problemIn(bootGuardDocument.schema, value)),
  },
  { name: 'store index', seeds: () => [json(index)], words, read: asFile('.index.json', (root) => readIndex(root)) },
  {
    name: 'channel state',
    seeds: () => ['{"schema":"kpatch.channel-state/1"}'],
    words,
    read: asFile('var/lib/kpatch/channel.json', (root) => readState(root)),
  },
  {
    name: 'channel.json',
    seeds: () => ['{"schema":"kpatch.channel/1","name":"a","title":"t","key":"k"}'],
    words,
    read: asFile('channel.json', (root) => readConfig(root)),
  },
  {
    name: 'provenance',
    seeds: () => [
      seal({ _type: 'https://in-toto.io/Statement/v1', subject: [] }, undefined),
      json({ payloadType, payload: 'e30=', signatures: [{ keyid: 'a', sig: 'aa==' }] }),
    ],
    words,
    read: (bytes) => readProvenance(bytes, 'p', []),
  },
  {
    name: 'test result',
    seeds: () => [seal(testResultOf(sampleProof('proven'), 'x', 'p'), undefined)],
    words,
    read: (bytes) => readTestResult(bytes, 'p', []),
  },
  {
    name: 'members that are there twice',
    seeds: () => ['{"a":1,"b":{"a":1}}'],
    words,
    read(bytes) {
      try {
        return parseStrict(bytes.toString());
      } catch {
        return undefined; // a plain error, which callers turn into one of the catalogue
      }
    },
  },
];
