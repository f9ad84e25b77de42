/** The small reader of forms agrees with the definitions, whatever is changed in a document. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { formProblem, type StoredName, storedDocument } from '#kpatch/documents/form.ts';
import { documents } from '#kpatch/documents/registry.ts';
import { readManifest } from '#kpatch/module/manifest.ts';
import { fixture } from '../compatibility/fixtures.ts';

const digest = 'a'.repeat(64);
const at = '2026-11-30T12:00:00.000Z';
const name = 'kpatch_6_1_0_57_amd64_1_1';

/** A good document of each kind that is read on a host, and two that other versions wrote. */
const samples: Partial<Readonly<Record<StoredName, unknown>>> = {
  'kpatch.manifest/1': readManifest(readFileSync(fixture(`${name}.ko`))),
  'kpatch.proof/1': JSON.parse(readFileSync(fixture(`${name}.proof.json`), 'utf8')),
  'kpatch.store/1': {
    schema: 'kpatch.store/1',
    entries: [
      { name: 'a', file: 'a.ko', sha256: digest, installed: at, acceptance: { policy: 'none', at, keys: [digest] } },
    ],
    pending: { staged: 'a.ko', remove: ['b.ko'] },
    unwanted: [{ name: 'b', sha256: digest, at }],
  },
  'kpatch.boot/1': {
    schema: 'kpatch.boot/1',
    trying: { bootId: 'x', at, patches: [{ name: 'a', sha256: digest }] },
    blocked: [{ name: 'a', sha256: digest, at, why: 'it crashed', times: 1 }],
    lost: [{ bootId: 'x', at, noticed: at, patches: [], named: ['a'] }],
  },
  'kpatch.loaded': { sha256: digest, buildId: 'ab', manifest: null, loaded: at, seconds: 0.5 },
  'kpatch.host-policy/1': {
    schema: 'kpatch.host-policy/1',
    proof: { required: true, keys: ['keys/a.pub'], plans: ['full'], test: true, maxAgeDays: 30, provenExcept: false },
    signature: { required: true, certificates: ['c.pem'], hashes: ['sha256'], minimumRsaBits: 3072 },
    channels: ['https://example.org/live'],
    update: 'fetch',
    revoked: 'remove',
  },
  'kpatch.revoked-keys/1': { schema: 'kpatch.revoked-keys/1', keys: [{ key: digest, reason: 'lost' }] },
  'kpatch.previous/1': { schema: 'kpatch.previous/1', by: digest, name: 'a', file: 'a.ko', sha256: digest },
  'kpatch.selection/1': {
    least: 'important',
    unrated: 'leave',
    subsystems: [{ match: 'net/', take: false, reason: 'not used' }],
    cves: { 'CVE-2026-1001': { take: true, reason: 'exploited' } },
  },
  'kpatch.kbuild-variables': { SRCARCH: 'x86' },
  'kpatch.object-map': [
    ['fs/proc/meminfo.o', [{ object: 'vmlinux', directory: 'fs/proc' }]],
    ['net/sctp/a.o', [{ object: 'sctp', directory: 'net/sctp', path: 'net/sctp/sctp' }]],
  ],
  'kpatch.include-graph': { files: ['a.c', 'a.h'], edges: [0, 1], generated: [], copies: [], forced: ['a.h'] },
  'kpatch.target-facts': {
    structures: { alt_instr: { size: 14, members: { instrlen: 12 } } },
    features: { replace: true },
    symbolName: 512,
  },
  'kpatch.pasting': [['SYSCALL_DEFINE1', ['sys_', '__do_sys_']]],
  'kpatch.word-index-files': ['fs/proc/meminfo.c', 'include/linux/mm.h'],
  'kpatch.load-failures': [{ at, name: 'a', sha256: digest, code: 'load-failed', text: 'insmod failed' }],
  'kpatch.kept-unit': { digest, read: ['fs/proc/meminfo.c'] },
};

/** Without lists: valibot takes one for an object without members, and a form does not. */
const odd: readonly unknown[] = [null, true, -1, 0.5, 2 ** 60, '', '..', 'a/b', '../x', 'x\ny', '\u202e', {}, { a: 1 }];

/** Every document that differs from a good one in one place: a member replaced, left out, or added. */
function* changed(value: unknown): Iterable<unknown> {
  yield* odd;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) for (const other of changed(item)) yield value.with(index, other);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, member] of Object.entries(value)) {
      for (const other of changed(member)) yield { ...value, [key]: other };
      yield Object.fromEntries(Object.entries(value).filter(([one]) => one !== key));
    }
    yield { ...value, addedLater: 1 };
  }
}

describe('forms of stored documents', () => {
  for (const [document, sample] of Object.entries(samples)) {
    it(`${document}: the definition and the form decide alike`, () => {
      const { schema } = documents.find((one) => one.name === document && one.origin.kind !== 'printed')!;
      const known = document as StoredName;
      assert.equal(formProblem(known, sample), undefined);
      let refused = 0;
      for (const value of changed(sample)) {
        const { success } = v.safeParse(schema, value);
        assert.equal(formProblem(known, value) === undefined, success, JSON.stringify(value).slice(0, 300));
        if (!success) refused++;
      }
      assert.ok(refused > 10);
    });
  }

  it('says where and what, and which version it knows', () => {
    const policy = (members: object): unknown => ({ schema: 'kpatch.host-policy/1', ...members });
    const cases: readonly (readonly [StoredName, unknown, RegExp])[] = [
      ['kpatch.host-policy/1', policy({ proof: { keys: ['a', '../b'] } }), /^proof\.keys\[1\]: must be a file below/],
      ['kpatch.host-policy/1', policy({ prof: {} }), /^the member "prof" is not known \(known: schema, proof,/],
      ['kpatch.host-policy/1', policy({ proof: { maxAgeDays: 0 } }), /must be a whole number from 1 to 36500$/],
      ['kpatch.store/1', { schema: 'kpatch.store/2' }, /^schema: it has the form "kpatch\.store\/2", but/],
      ['kpatch.store/1', { schema: 'kpatch.boot/1' }, /^schema: must be "kpatch\.store\/1"$/],
      ['kpatch.store/1', { schema: 'kpatch.store/1' }, /^entries: is missing$/],
      ['kpatch.boot/1', [], /^must be an object$/],
    ];
    for (const [document, value, expected] of cases) assert.match(formProblem(document, value) ?? '', expected);
    assert.throws(() => storedDocument('kpatch.loaded', {}), /sha256: is missing/);
  });
});
