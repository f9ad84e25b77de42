/**
 * The end of a signed kernel module (include/linux/module_signature.h): the module, a signature, twelve bytes that describe
 * it, and a magic string. What the signature is worth: module/signature-rules.ts.
 */

/** MODULE_SIG_STRING. */
const MAGIC = '~Module signature appended~\n';
/** sizeof(struct module_signature): algo, hash, id_type, signer_len, key_id_len, 3 bytes of padding, sig_len (big-endian). */
const TRAILER = 12;
/** PKEY_ID_PKCS7, the only id_type that kernels since 4.3 take. */
const PKCS7 = 2;

/** A signed module in its two parts, as views on its bytes. */
export interface SignedModule {
  readonly module: Uint8Array;
  /** A detached CMS message in DER form (RFC 5652). */
  readonly message: Uint8Array;
}

/** True if a signature is appended, whatever it is worth. */
export function isSigned(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(-MAGIC.length)).toString('latin1') === MAGIC;
}

/** The parts of a signed module; what is wrong, in words, if they cannot be told; undefined if no signature is appended. */
export function splitSignature(bytes: Uint8Array): SignedModule | string | undefined {
  if (!isSigned(bytes)) return undefined;
  const end = bytes.length - MAGIC.length - TRAILER;
  if (end < 0) return 'the file is too short';
  const trailer = Buffer.from(bytes.subarray(end, end + TRAILER));
  const length = trailer.readUInt32BE(8);
  if (trailer[2] !== PKCS7) return `it has type ${trailer[2]}, not PKCS#7`;
  // mod_check_sig (kernel/module_signature.c) refuses anything in the other fields.
  if (trailer.subarray(0, 8).some((byte, index) => index !== 2 && byte !== 0)) return 'fields that must be 0 are not';
  if (length === 0 || length > end) return `it should be ${length} bytes long`;
  return { module: bytes.subarray(0, end - length), message: bytes.subarray(end - length, end) };
}

/** Appends a signature to a module. */
export function appendSignature({ module, message }: SignedModule): Buffer {
  const trailer = Buffer.alloc(TRAILER);
  trailer[2] = PKCS7;
  trailer.writeUInt32BE(message.length, 8);
  return Buffer.concat([module, message, trailer, Buffer.from(MAGIC)]);
}
