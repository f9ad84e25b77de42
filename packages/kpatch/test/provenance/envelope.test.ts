/** DSSE envelopes: the encoding, every kind of key, and what makes an envelope invalid. */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { open, payloadType, preAuthentication, seal } from '#kpatch/provenance/envelope.ts';
import { readProvenance } from '#kpatch/provenance/statement.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { keyPair, moduleWithProvenance } from './statements.ts';

test('the pre-authentication encoding is that of the DSSE specification', () => {
  const encoded = preAuthentication('http://example.com/HelloWorld', Buffer.from('hello world'));
  assert.equal(encoded.toString(), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world');
  assert.equal(preAuthentication('ü', Buffer.from('é')).toString(), 'DSSEv1 2 ü 2 é', 'lengths are bytes');
});

test('keys of every kind sign and verify, and another program can check the signature', () => {
  using folder = temporaryFolder('kpatch-envelope-');
  for (const kind of ['ed25519', 'ec', 'rsa'] as const) {
    const key = keyPair(folder.path, kind, kind);
    const text = seal({ a: 1 }, key.secret);
    assert.deepEqual(open(Buffer.from(text), 'e', [key.public]).signedBy, [key.public.id]);
    const { payload, signatures } = JSON.parse(text);
    const signed = preAuthentication(payloadType, Buffer.from(payload, 'base64'));
    const known = createPublicKey(readFileSync(join(folder.path, `${kind}.pub`)));
    const hash = kind === 'ed25519' ? null : 'sha256';
    assert.equal(verify(hash, signed, known, Buffer.from(signatures[0].sig, 'base64')), true);
  }
});

test('an envelope without signatures is read, and nobody has signed it', () => {
  const { signedBy, claimed, payload } = open(Buffer.from(seal({ a: 1 }, undefined)), 'e', []);
  assert.deepEqual([signedBy, claimed, payload], [[], [], { a: 1 }]);
});

const envelope = (change: object): Buffer =>
  Buffer.from(JSON.stringify({ payloadType, payload: 'e30=', signatures: [], ...change }));

test('malformed envelopes are errors of the catalogue', async () => {
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['not JSON', Buffer.from('{'), /not JSON/],
    ['a list', Buffer.from('[]'), /not a DSSE envelope/],
    ['another payload type', envelope({ payloadType: 'text/plain' }), /payload type/],
    ['no payload', envelope({ payload: 7 }), /no payload/],
    ['a payload that is not base64', envelope({ payload: '{}' }), /not base64/],
    ['a statement that is not JSON', envelope({ payload: 'YWJj' }), /its statement: it is not JSON/],
    ['signatures that are no list', envelope({ signatures: {} }), /list/],
    ['a signature without a value', envelope({ signatures: [{ keyid: 'a' }] }), /signature is malformed/],
    ['a key id with a newline', envelope({ signatures: [{ keyid: 'a\nb', sig: '' }] }), /signature is malformed/],
    ['a signature that is not base64', envelope({ signatures: [{ keyid: 'a', sig: '!' }] }), /not base64/],
    ['a hundred signatures', envelope({ signatures: Array(100).fill({ sig: '' }) }), /at most 16/],
    ['a member twice', Buffer.from('{"payload":"","payload":""}'), /twice/],
  ];
  for (const [name, bytes, problem] of cases) {
    const error = await provokes('provenance-invalid', () => open(bytes, 'e.json', []));
    assert.match(error.message, problem, name);
  }
});

const carried = (how: string) => ({ area: 'provenance', attacker: 'mirror', how }) as const;

attack(
  carried('a statement is changed after it was signed, or its signature is moved to another statement'),
  async () => {
    using folder = temporaryFolder('kpatch-envelope-');
    const key = keyPair(folder.path, 'builder');
    const good = JSON.parse(seal({ a: 1 }, key.secret));
    for (const payload of [{ a: 2 }, { a: 1, b: 1 }]) {
      const changed = { ...good, payload: Buffer.from(JSON.stringify(payload)).toString('base64') };
      const bytes = Buffer.from(JSON.stringify(changed));
      const error = await provokes('provenance-invalid', () => open(bytes, 'e.json', [key.public]));
      assert.match(error.message, /changed after it was signed/);
    }
    return 'provenance-invalid';
  },
);

attack(carried('a statement signed with a key that nobody trusts, also under the name of a trusted one'), async () => {
  using folder = temporaryFolder('kpatch-envelope-');
  const trusted = keyPair(folder.path, 'builder');
  const other = keyPair(folder.path, 'other');
  const text = seal({ a: 1 }, other.secret);
  assert.deepEqual(open(Buffer.from(text), 'e', [trusted.public]).signedBy, []);
  const renamed = Buffer.from(text.replaceAll(other.public.id, trusted.public.id));
  await provokes('provenance-invalid', () => open(renamed, 'e', [trusted.public]));
  const nameless = JSON.parse(text);
  delete nameless.signatures[0].keyid;
  assert.deepEqual(open(Buffer.from(JSON.stringify(nameless)), 'e', [trusted.public]).signedBy, []);
  return 'provenance-invalid: nothing is signed by the trusted key';
});

attack(
  carried('a statement with a member twice, of another type, nested deeply, or with escapes in a name'),
  async () => {
    const { statement } = await moduleWithProvenance();
    const sealed = (value: unknown): Buffer => Buffer.from(seal(value as object, undefined));
    const twice = Buffer.from(JSON.stringify(statement).replace('{"_type"', '{"_type":"x","_type"')).toString('base64');
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const nested = Buffer.from(JSON.stringify(statement).replace('{', `{"more":${deep},`)).toString('base64');
    const cases: Buffer[] = [
      envelope({ payload: twice }),
      sealed({ ...statement, predicateType: 'https://example.org/other' }),
      sealed({ ...statement, subject: [] }),
      sealed({ ...statement, subject: [{ name: 'a\u001b[2J.ko', digest: statement.subject[0]!.digest }] }),
      sealed({ ...statement, predicate: { ...statement.predicate, buildDefinition: { resolvedDependencies: {} } } }),
      sealed([]),
      sealed({}),
    ];
    for (const bytes of cases) await provokes('provenance-invalid', () => readProvenance(bytes, 'p.json', []));
    // Members that nobody knows are ignored, however deep they are.
    assert.ok((await readProvenance(envelope({ payload: nested }), 'p.json', [])).statement);
    return 'provenance-invalid';
  },
);
