import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '#kpatch/base/run.ts';
import { kernelOpinion } from '#kpatch/host/machine/kernel-trust.ts';
import { statusOf } from '#kpatch/host/status.ts';
import type { SigningKey } from '#kpatch/module/make/sign.ts';
import { readCertificate } from '#kpatch/module/signature.ts';
import { judgeSignature, usualDemand, verifySignature } from '#kpatch/module/signature-rules.ts';
import { attack } from '../attack.ts';
import { FakeMachine, moduleBytes } from '../host/fake.ts';
import { provokes } from '../provoke.ts';
import { makeKey } from './key.ts';

const module = Buffer.from(moduleBytes({ name: 'one' }));
const program = join(import.meta.dirname, '../../../../bin/kpatch');
let folder = '';
let good: SigningKey;
let short: SigningKey;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-signature-'));
  good = makeKey(folder, 'good');
  short = makeKey(folder, 'short', ['rsa:1024']);
  writeFileSync(join(folder, 'module'), module);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** A CMS message by openssl(1), with other options than `kpatch` uses. */
function message(keys: readonly SigningKey[], ...options: readonly string[]): Buffer {
  const signers = keys.flatMap(({ key, certificate }) => ['-signer', certificate, '-inkey', key]);
  const args = ['cms', '-sign', '-binary', '-nocerts', '-outform', 'DER', '-in', join(folder, 'module')];
  const { status, stdout, stderr } = spawnSync('openssl', [...args, ...signers, ...options]);
  assert.equal(status, 0, stderr.toString());
  return stdout;
}

/** The module with a message appended as the kernel expects it. */
function appended(cms: Uint8Array): Buffer {
  const trailer = Buffer.alloc(12);
  trailer[2] = 2;
  trailer.writeUInt32BE(cms.length, 8);
  return Buffer.concat([module, cms, trailer, Buffer.from('~Module signature appended~\n')]);
}

/** What the host says to a module; `''` where it takes it. */
function hostSays(bytes: Uint8Array, key = good, demand = usualDemand): string {
  const judged = judgeSignature(bytes, [readCertificate(key.certificate)], demand);
  return 'problem' in judged ? judged.problem : '';
}

const plain = (...options: string[]): Buffer => message([good], '-noattr', '-nosmimecap', '-md', 'sha256', ...options);

test('what kpatch and sign-file make is taken by host and kernel', () => {
  const signed = appended(plain());
  assert.equal(hostSays(signed), '');
  using machine = new FakeMachine();
  assert.equal(kernelOpinion(machine, signed).answer, 'accepts');
});

/** Messages that say more, or less surely, than that the module was signed; kernel: what the kernel's rules say to them. */
const odd: Readonly<
  Record<string, { readonly make: () => Uint8Array; readonly host: RegExp; readonly kernel: string }>
> = {
  'data after the CMS message, inside of the signature': {
    make: () => Buffer.concat([plain(), Buffer.from('room for anything')]),
    host: /17 bytes follow the message/,
    kernel: 'accepts',
  },
  'a signature over SHA-1': {
    make: () => message([good], '-noattr', '-nosmimecap', '-md', 'sha1'),
    host: /digest sha1 is not allowed/,
    kernel: 'accepts',
  },
  'authenticated attributes, which the kernel refuses': {
    make: () => message([good], '-md', 'sha256'),
    host: /authenticated attributes/,
    kernel: 'refuses',
  },
  'a message that carries another content of its own': {
    make: () => plain('-nodetach'),
    host: /content of its own/,
    kernel: 'refuses',
  },
  'a second signer beside the trusted one': {
    make: () => message([good, short], '-noattr', '-nosmimecap', '-md', 'sha256'),
    host: /2 signers/,
    kernel: 'accepts',
  },
  'lengths in another encoding than DER allows': {
    make: () => {
      const der = plain();
      assert.deepEqual([...der.subarray(0, 2)], [0x30, 0x82]);
      return Buffer.concat([Buffer.from([0x30, 0x83, 0x00]), der.subarray(2)]);
    },
    host: /not in DER form/,
    kernel: 'accepts',
  },
  'twelve zero bytes and the magic string': {
    make: () => new Uint8Array(0),
    host: /malformed|invalid/,
    kernel: 'refuses',
  },
};

for (const [how, { make, host, kernel }] of Object.entries(odd)) {
  attack({ area: 'signature', attacker: 'mirror', how }, () => {
    const signed = appended(make());
    const says = hostSays(signed);
    assert.match(says, host);
    using machine = new FakeMachine();
    assert.equal(kernelOpinion(machine, signed).answer, kernel);
    return says;
  });
}

attack({ area: 'signature', attacker: 'supply chain', how: 'a certificate of 1024 bits' }, () => {
  const signed = appended(message([short], '-noattr', '-nosmimecap', '-md', 'sha256'));
  assert.match(hostSays(signed, short), /1024 bits/);
  const at = { at: new Date() };
  return provokes('signature-weak', () =>
    verifySignature(signed, short.certificate, 'one.ko', { ...usualDemand, ...at }),
  );
});

attack(
  { area: 'signature', attacker: 'supply chain', how: 'a certificate that has expired, or is not valid yet' },
  () => {
    const signed = appended(plain());
    const days = (n: number): Date => new Date(Date.now() + n * 86_400_000);
    assert.match(hostSays(signed, good, { ...usualDemand, at: days(-10) }), /valid from/);
    const says = hostSays(signed, good, { ...usualDemand, at: days(40) });
    assert.match(says, /expired/);
    return says;
  },
);

attack(
  { area: 'signature', attacker: 'mirror', how: 'a message that claims a well-known name, shown by kpatch info' },
  async () => {
    const forged = makeKey(folder, 'Debian Secure Boot CA');
    const file = join(folder, 'one.ko');
    writeFileSync(file, appended(message([forged], '-noattr', '-nosmimecap', '-md', 'sha256')));
    const unverified = (await run(program, ['info', file])).stdout.toString();
    assert.match(unverified, /^signed: +not verified \(sha256; it names the certificate [0-9A-F]+;/m);
    assert.doesNotMatch(unverified, /Debian Secure Boot/);
    const wrong = await run(program, ['info', file, '--cert', good.certificate]);
    assert.match(wrong.stderr, /signature-wrong/);
    writeFileSync(file, appended(plain()));
    assert.match(
      (await run(program, ['info', file, '--cert', good.certificate])).stdout.toString(),
      /^signed: +by 'good'/m,
    );
    return 'an unverified signature is called that, and a name is shown of a verified certificate only';
  },
);

test('the kernel: enforcement, its keys, and what cannot be known', () => {
  using machine = new FakeMachine();
  const signed = appended(plain());
  const certificate = readCertificate(good.certificate);
  const answers = (): string[] => [
    kernelOpinion(machine, module).answer,
    kernelOpinion(machine, signed).answer,
    kernelOpinion(machine, signed, [certificate]).answer,
  ];
  assert.deepEqual(answers(), ['accepts', 'accepts', 'accepts']);
  machine.set('sys/module/module/parameters/sig_enforce', 'Y');
  assert.deepEqual(answers(), ['refuses', 'unknown', 'unknown'], '/proc/keys cannot be read');
  assert.equal(statusOf(machine).signatureRequired, 'module.sig_enforce is set');
  machine.set('proc/keys', '1b9 I--Q--- 1 perm 1f0b0000 0 0 keyring .platform: empty\n');
  assert.deepEqual(answers(), ['refuses', 'refuses', 'refuses']);
  const line = (id: string): string =>
    `3a1 I------ 1 perm 1f030000 0 0 asymmetri Some: name: ${id}: X509.rsa 1234 []\n`;
  machine.set('proc/keys', line('00ff00ff'));
  assert.deepEqual(answers(), ['refuses', 'unknown', 'refuses']);
  const { stdout } = spawnSync('openssl', ['x509', '-in', good.certificate, '-noout', '-ext', 'subjectKeyIdentifier']);
  const id = /((?:[0-9A-F]{2}:){19}[0-9A-F]{2})/.exec(stdout.toString())![1]!;
  machine.set('proc/keys', line(id.toLowerCase().replaceAll(':', '')));
  assert.deepEqual(answers(), ['refuses', 'unknown', 'accepts']);
  machine.set('sys/module/module/parameters/sig_enforce', 'N');
  assert.equal(statusOf(machine).signatureRequired, undefined);
  machine.set('sys/kernel/security/lockdown', 'none [integrity] confidentiality');
  assert.deepEqual(answers(), ['refuses', 'unknown', 'accepts']);
  assert.equal(statusOf(machine).signatureRequired, 'lockdown mode is integrity');
});

test('every change of a message is an answer, never a crash', () => {
  const cms = plain();
  for (let at = 0; at < cms.length; at++) {
    for (const byte of [0, 0x30, 0x80, 0xff]) {
      const copy = Buffer.from(cms);
      if (copy[at] === byte) continue;
      copy[at] = byte;
      const says = hostSays(appended(copy));
      // Some bytes name the certificate, which is not believed; whatever is signed must have stayed.
      if (says === '') assert.ok(readFileSync(join(folder, 'module')).equals(module));
    }
  }
});
