/** A module with a signature, made once. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { appendSignature } from '#kpatch/formats/appended-signature.ts';
import { makeKey } from '../module/key.ts';

let made: Buffer | undefined;

/** Some bytes, a CMS message, the trailer and the magic string (include/linux/module_signature.h). */
export function signedModule(): Buffer {
  made ??= sign();
  return made;
}

function sign(): Buffer {
  using folder = temporaryFolder('kpatch-fuzz-');
  const { key, certificate } = makeKey(folder.path, 'fuzz');
  const [content, message] = ['content', 'message'].map((name) => join(folder.path, name)) as [string, string];
  writeFileSync(content, 'module');
  const options = ['-sign', '-binary', '-noattr', '-nocerts', '-nosmimecap', '-outform', 'DER', '-md', 'sha256'];
  execFileSync('openssl', ['cms', ...options, '-signer', certificate, '-inkey', key, '-in', content, '-out', message]);
  return appendSignature({ module: Buffer.from('module'), message: readFileSync(message) });
}
