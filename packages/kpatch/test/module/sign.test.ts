import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isSigned } from '#kpatch/formats/appended-signature.ts';
import { checkSigningKey, type SigningKey, signModule } from '#kpatch/module/make/sign.ts';
import { readSignature } from '#kpatch/module/signature.ts';
import { certificateName, verifySignature } from '#kpatch/module/signature-rules.ts';
import { provokes } from '../provoke.ts';
import { makeKey } from './key.ts';

/** The signature is over bytes, whatever they are. */
const module = Buffer.from('\x7fELF and so on, the bytes of a module'.repeat(50));
let folder = '';
let first: SigningKey;
let second: SigningKey;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-sign-test-'));
  first = makeKey(folder, 'first');
  second = makeKey(folder, 'second');
});
after(() => rmSync(folder, { recursive: true, force: true }));

const openssl = (...args: readonly string[]): ReturnType<typeof spawnSync> => spawnSync('openssl', [...args]);

const signerOf = (signed: Uint8Array, certificate: string): string =>
  certificateName(verifySignature(signed, certificate).signer);

describe('module signatures', () => {
  test('what is signed is read, verified here and by openssl, and the module in it is unchanged', async () => {
    const signed = await signModule(module, first, 'sha256');
    assert.ok(isSigned(signed) && !isSigned(module));
    const signature = readSignature(signed)!;
    assert.deepEqual(Buffer.from(signature.module), module);
    assert.equal(signature.hash, 'sha256');
    const { stdout } = openssl('x509', '-in', first.certificate, '-noout', '-serial');
    assert.equal(`serial=${signature.serial}\n`, stdout.toString());
    assert.equal(signerOf(signed, first.certificate), 'first');
    writeFileSync(join(folder, 'message'), signature.message);
    writeFileSync(join(folder, 'content'), module);
    const message = ['-in', join(folder, 'message'), '-inform', 'DER', '-content', join(folder, 'content'), '-binary'];
    const who = ['-certfile', first.certificate, '-noverify', '-nointern', '-out', '/dev/null'];
    const verified = openssl('cms', '-verify', ...message, ...who);
    assert.equal(verified.status, 0, verified.stderr.toString());
  });

  test('the layout is that of scripts/sign-file: message, 12 bytes, magic', async () => {
    const signed = Buffer.from(await signModule(module, first, 'sha512'));
    assert.equal(signed.subarray(-28).toString(), '~Module signature appended~\n');
    const trailer = signed.subarray(-40, -28);
    const { message, hash } = readSignature(signed)!;
    assert.equal(hash, 'sha512');
    assert.deepEqual([...trailer.subarray(0, 8)], [0, 0, 2, 0, 0, 0, 0, 0]);
    assert.equal(trailer.readUInt32BE(8), message.length);
    assert.equal(signed.length, module.length + message.length + 40);
  });

  test('signing again replaces the signature; with the same key the bytes are the same', async () => {
    const once = await signModule(module, first, 'sha256');
    assert.deepEqual(await signModule(once, first, 'sha256'), once);
    const other = await signModule(once, second, 'sha256');
    assert.equal(signerOf(other, second.certificate), 'second');
    assert.deepEqual(Buffer.from(readSignature(other)!.module), module);
  });

  test('elliptic curves and certificates in DER work too', async () => {
    const { key, certificate } = makeKey(folder, 'curve', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384']);
    const der = join(folder, 'curve.der');
    openssl('x509', '-in', certificate, '-outform', 'DER', '-out', der);
    const signed = await signModule(module, { key, certificate: der }, 'sha384');
    assert.equal(signerOf(signed, certificate), 'curve');
  });

  test('an encrypted key is opened with KBUILD_SIGN_PIN', async () => {
    const key = join(folder, 'locked.key');
    openssl('pkey', '-in', first.key, '-aes256', '-passout', 'pass:sesame', '-out', key);
    delete process.env.KBUILD_SIGN_PIN;
    await provokes('sign-key-unusable', () => checkSigningKey({ ...first, key }));
    process.env.KBUILD_SIGN_PIN = 'wrong';
    await provokes('sign-key-unusable', () => checkSigningKey({ ...first, key }));
    process.env.KBUILD_SIGN_PIN = 'sesame';
    try {
      const signed = await signModule(module, { ...first, key }, 'sha256');
      assert.equal(signerOf(signed, first.certificate), 'first');
    } finally {
      delete process.env.KBUILD_SIGN_PIN;
    }
  });

  test('sign-key-mismatch: a key of another certificate', async () => {
    const error = await provokes('sign-key-mismatch', () =>
      checkSigningKey({ key: first.key, certificate: second.certificate }),
    );
    assert.equal(error.exit, 2);
  });

  test('sign-key-unusable, sign-certificate-unusable: files of another kind', async () => {
    const text = join(folder, 'text');
    writeFileSync(text, 'no key at all\n');
    await provokes('sign-key-unusable', () => checkSigningKey({ ...first, key: text }));
    await provokes('sign-key-unusable', () => checkSigningKey({ ...first, key: first.certificate }));
    await provokes('sign-certificate-unusable', () => checkSigningKey({ ...first, certificate: text }));
    await provokes('sign-certificate-unusable', () => checkSigningKey({ ...first, certificate: first.key }));
    await provokes('file-unreadable', () => checkSigningKey({ ...first, key: join(folder, 'none') }));
    await provokes('file-unreadable', () => checkSigningKey({ ...first, certificate: join(folder, 'none') }));
  });

  test('signature-wrong: another signer, or a byte that changed', async () => {
    const signed = Buffer.from(await signModule(module, first, 'sha256'));
    await provokes('signature-wrong', () => verifySignature(signed, second.certificate));
    signed[100]! ^= 1;
    await provokes('signature-wrong', () => verifySignature(signed, first.certificate));
    const curve = makeKey(folder, 'another', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']);
    await provokes('signature-wrong', () => verifySignature(signed, curve.certificate));
  });

  test('signature-malformed: every damage of the end is an error of the catalogue, never a crash', async () => {
    const signed = Buffer.from(await signModule(module, first, 'sha256'));
    await provokes('signature-malformed', () => verifySignature(module, first.certificate));
    await provokes('signature-malformed', () => readSignature(signed.subarray(-28)));
    await provokes('signature-malformed', () => readSignature(signed.subarray(-60)));
    const changed = (at: number, byte: number): Buffer => {
      const copy = Buffer.from(signed);
      copy[copy.length - at] = byte;
      return copy;
    };
    await provokes('signature-malformed', () => readSignature(changed(38, 1)));
    await provokes('signature-malformed', () => readSignature(changed(40, 1)));
    await provokes('signature-malformed', () => readSignature(changed(32, 0xff)));
    const start = module.length;
    for (let at = start; at < signed.length - 40; at++) {
      for (const byte of [0, 0x30, 0x7f, 0x80, 0xff]) {
        const copy = Buffer.from(signed);
        copy[at] = byte;
        try {
          verifySignature(copy, first.certificate);
        } catch (error) {
          assert.match((error as { code: string }).code, /^signature-(malformed|wrong|weak)$/);
        }
      }
    }
  });
});
