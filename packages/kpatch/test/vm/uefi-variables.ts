/**
 * UEFI firmware whose variable `db` holds a certificate, for guests: kernels with CONFIG_LOAD_UEFI_KEYS put the
 * certificates of `db` into their platform keyring, and Debian's take module signatures by those (certs/system_keyring.c,
 * load_uefi.c). The layout of the variable store is that of EDK II (MdeModulePkg/Include/Guid/VariableFormat.h).
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CODE = '/usr/share/OVMF/OVMF_CODE_4M.fd';
const EMPTY_VARIABLES = '/usr/share/OVMF/OVMF_VARS_4M.fd';

/** EFI_IMAGE_SECURITY_DATABASE_GUID, EFI_CERT_X509_GUID, and an owner of no meaning. */
const DATABASE = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';
const X509 = 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072';
const OWNER = '77fa9abd-0359-4d32-bd60-28f4e78f784b';

/** A GUID as UEFI stores it: the first three groups little-endian. */
function guid(text: string): Buffer {
  const [a = '', b = '', c = '', d = '', e = ''] = text.split('-');
  const swapped = [a, b, c].map((group) => Buffer.from(group, 'hex').reverse());
  return Buffer.concat([...swapped, Buffer.from(d + e, 'hex')]);
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4);
  return bytes;
}

/** EFI_SIGNATURE_LIST with one certificate. */
function signatureList(certificate: Buffer): Buffer {
  const entry = Buffer.concat([guid(OWNER), certificate]);
  return Buffer.concat([guid(X509), u32(28 + entry.length, 0, entry.length), entry]);
}

/** AUTHENTICATED_VARIABLE_HEADER (60 bytes), name, data. */
function variable(name: string, vendor: string, data: Buffer): Buffer {
  const text = Buffer.from(`${name}\0`, 'utf16le');
  // StartId 0x55aa, State VAR_ADDED; attributes: non-volatile, boot, run time, time-based authentication.
  const head = Buffer.from([0xaa, 0x55, 0x3f, 0]);
  const time = Buffer.alloc(16);
  time.writeUInt16LE(2024, 0);
  time[2] = 1;
  time[3] = 1;
  const counters = Buffer.alloc(8);
  return Buffer.concat([head, u32(0x27), counters, time, u32(0, text.length, data.length), guid(vendor), text, data]);
}

/** QEMU's arguments for firmware that trusts the certificate; the store of its variables is written into `folder`. */
export function firmwareThatTrusts(folder: string, certificateFile: string): string[] {
  const der = new X509Certificate(readFileSync(certificateFile)).raw;
  const store = readFileSync(EMPTY_VARIABLES);
  // EFI_FIRMWARE_VOLUME_HEADER.HeaderLength is at 48; the header of the variable store after it has 28 bytes.
  const start = store.readUInt16LE(48) + 28;
  variable('db', DATABASE, signatureList(der)).copy(store, start);
  const file = join(folder, 'variables.fd');
  writeFileSync(file, store);
  const flash = (unit: number, path: string, more: string): string[] => [
    '-drive',
    `if=pflash,format=raw,unit=${unit},file=${path}${more}`,
  ];
  return [...flash(0, CODE, ',readonly=on'), ...flash(1, file, '')];
}
