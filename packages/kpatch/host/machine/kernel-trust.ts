/**
 * Would the running kernel take a module's signature? Its rules are not the host's: no clock, no authenticated attributes,
 * its own keyrings. What cannot be known from outside is called unknown.
 */
import type { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { readSignature } from '../../module/signature.ts';
import { kernelProblem } from '../../module/signature-rules.ts';
import { machineName, machineNameHere } from '../../platform/registry.ts';
import { attribute } from './attribute.ts';
import type { Machine } from './machine.ts';
import { runningKernel, signatureRequired } from './running-kernel.ts';

export interface KernelOpinion {
  readonly answer: 'accepts' | 'refuses' | 'unknown';
  /** Why, as a clause. */
  readonly reason: string;
}

/**
 * The kernel's answer to a module; `certificates` are those for which its signature was verified here. Never throws.
 * Rules: kernel/module/signing.c (module_sig_check): a malformed signature is refused even where none is asked for; one by
 * an unknown key, or none, only where signatures are enforced.
 */
export function kernelOpinion(
  machine: Machine,
  bytes: Uint8Array,
  certificates: readonly X509Certificate[] = [],
): KernelOpinion {
  const foreign = machine.offline ? undefined : foreignMachine(bytes);
  if (foreign !== undefined) return { answer: 'refuses', reason: foreign };
  const enforced = signatureRequired(runningKernel(machine)) !== undefined;
  let signature: ReturnType<typeof readSignature>;
  try {
    signature = readSignature(bytes);
  } catch (error) {
    return { answer: 'refuses', reason: error instanceof Error ? error.message : String(error) };
  }
  if (signature === undefined) {
    return enforced
      ? { answer: 'refuses', reason: 'it is not signed, and this kernel asks for a signature' }
      : { answer: 'accepts', reason: 'it is not signed, and this kernel does not ask for a signature' };
  }
  const problem = kernelProblem(signature);
  if (problem !== undefined) return { answer: 'refuses', reason: `its signature is refused: ${problem}` };
  const keys = kernelKeys(machine);
  const known = certificates.find((certificate) => keys?.some((key) => isKeyOf(key, certificate)));
  if (known !== undefined) return { answer: 'accepts', reason: 'the kernel has the key that signed it' };
  if (!enforced) return { answer: 'accepts', reason: 'this kernel does not ask for a signature' };
  if (keys === undefined) return { answer: 'unknown', reason: 'its keys cannot be read (/proc/keys, as root)' };
  if (keys.length === 0) return { answer: 'refuses', reason: 'the kernel has no keys' };
  if (certificates.length > 0) return { answer: 'refuses', reason: 'the kernel does not have the key that signed it' };
  return { answer: 'unknown', reason: 'its signing certificate is unknown' };
}

/** Why this machine cannot run an ELF file, by its header (load_module, kernel/module/main.c: elf_check_arch); undefined if it can. */
function foreignMachine(bytes: Uint8Array): string | undefined {
  if (bytes.length < 20 || bytes[0] !== 0x7f) return undefined;
  const littleEndian = bytes[5] === 1;
  const machine = new DataView(bytes.buffer, bytes.byteOffset).getUint16(18, littleEndian);
  const [arch, here] = [machineName({ machine, littleEndian }), machineNameHere()];
  return arch === here ? undefined : `it is for ${arch}, but this machine is ${here}`;
}

/** An asymmetric key in one of the kernel's keyrings: builtin, secondary, machine (MOK), platform (UEFI db). */
interface KernelKey {
  /** The certificate's subject key identifier, or its serial number where it has none; lower-case hexadecimal. */
  readonly id: string;
}

/**
 * Keys that the kernel has. A line of /proc/keys ends `asymmetri SUBJECT: ID: X509.rsa LAST4 []`
 * (crypto/asymmetric_keys/x509_public_key.c makes the description).
 */
function kernelKeys(machine: Machine): KernelKey[] | undefined {
  const text = attribute(join(machine.proc, 'keys'));
  if (text === undefined) return undefined;
  return text.split('\n').flatMap((line) => {
    const id = / asymmetri .*: ([0-9a-f]+): X509\.\w+/.exec(line)?.[1];
    return id === undefined ? [] : [{ id }];
  });
}

function isKeyOf({ id }: KernelKey, certificate: X509Certificate): boolean {
  const plain = (hex: string): string =>
    hex
      .toLowerCase()
      .replaceAll(':', '')
      .replace(/^(?:00)+(?=.)/, '');
  const identifier = subjectKeyId(certificate);
  return plain(id) === (identifier ?? plain(certificate.serialNumber));
}

/** The extension's value (2.5.29.14): an octet string in an octet string. */
function subjectKeyId({ raw }: X509Certificate): string | undefined {
  // 06 03 55 1d 0e, then 04 LL 04 LL and the identifier; LL is below 128 for every digest.
  const at = raw.indexOf(Buffer.from([0x06, 0x03, 0x55, 0x1d, 0x0e]));
  if (at < 0 || raw[at + 5] !== 0x04 || raw[at + 7] !== 0x04) return undefined;
  const length = raw[at + 8]!;
  return raw
    .subarray(at + 9, at + 9 + length)
    .toString('hex')
    .replace(/^(?:00)+(?=.)/, '');
}
