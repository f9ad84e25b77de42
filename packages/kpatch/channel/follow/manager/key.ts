/**
 * The public key of a channel, given as a file in either form (RFC 4880), in both forms. Machines have gpgv, since apt needs it,
 * but not always gpg, so this is read here; that a signature is good is never decided here.
 */
import { createHash } from 'node:crypto';
import { failure } from '../../../base/errors/error.ts';
import { readBytes } from '../../../base/files.ts';

export interface PublicKeys {
  readonly armored: string;
  readonly binary: Uint8Array;
  /** Of the primary keys, hexadecimal capitals. */
  readonly fingerprints: readonly string[];
}

/** Tags of packets (RFC 4880, section 4.3). */
const tags = { secretKey: 5, publicKey: 6, secretSubkey: 7 } as const;

/** Reads a file of public keys. Errors: `file-unreadable`, `channel-key-file`. */
export function readPublicKeys(file: string): PublicKeys {
  const bytes = readBytes(file);
  const bad = (detail: string): Error => failure('channel-key-file', { file }, { where: { file }, detail });
  const binary = bytes.includes('-----BEGIN PGP') ? dearmor(bytes.toString('latin1')) : bytes;
  const packets = packetsOf(binary);
  if (packets === undefined) throw bad('it is not an OpenPGP key, or it is truncated');
  if (packets.some(({ tag }) => tag === tags.secretKey || tag === tags.secretSubkey))
    throw bad('it contains a secret key');
  const fingerprints = packets.filter(({ tag }) => tag === tags.publicKey).map(({ body }) => fingerprintOf(body));
  if (fingerprints.length === 0) throw bad('it contains no public key');
  return { armored: armor(binary), binary, fingerprints };
}

interface Packet {
  readonly tag: number;
  readonly body: Uint8Array;
}

/** The packets of a key file; `undefined` where it is none (section 4.2: old and new form of lengths). */
function packetsOf(bytes: Uint8Array): Packet[] | undefined {
  const packets: Packet[] = [];
  const at = (offset: number): number => bytes[offset] ?? 0;
  for (let offset = 0; offset < bytes.length; ) {
    const first = at(offset);
    if ((first & 0x80) === 0) return undefined;
    let [tag, head, length] = [0, 0, 0];
    if ((first & 0x40) !== 0) {
      tag = first & 0x3f;
      const one = at(offset + 1);
      if (one < 192) [head, length] = [2, one];
      else if (one < 224) [head, length] = [3, ((one - 192) << 8) + at(offset + 2) + 192];
      else if (one === 255) [head, length] = [6, number32(bytes, offset + 2)];
      else return undefined; // keys are not written in pieces
    } else {
      tag = (first & 0x3c) >> 2;
      const kind = first & 3;
      if (kind === 0) [head, length] = [2, at(offset + 1)];
      else if (kind === 1) [head, length] = [3, (at(offset + 1) << 8) | at(offset + 2)];
      else if (kind === 2) [head, length] = [5, number32(bytes, offset + 1)];
      else return undefined;
    }
    if (offset + head + length > bytes.length) return undefined;
    packets.push({ tag, body: bytes.subarray(offset + head, offset + head + length) });
    offset += head + length;
  }
  return packets;
}

function number32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).byteLength < offset + 4
    ? Number.MAX_SAFE_INTEGER
    : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset);
}

/** Section 12.2: SHA-1 over 0x99, two bytes of length and the body, for keys of version 4; later versions use SHA-256. */
function fingerprintOf(body: Uint8Array): string {
  const version = body[0] ?? 0;
  const head = version === 4 ? Buffer.alloc(3) : Buffer.alloc(5);
  head[0] = version === 4 ? 0x99 : 0x9a;
  if (version === 4) head.writeUInt16BE(body.length & 0xffff, 1);
  else head.writeUInt32BE(body.length, 1);
  return createHash(version === 4 ? 'sha1' : 'sha256')
    .update(head)
    .update(body)
    .digest('hex')
    .toUpperCase();
}

/** The bytes of all armored blocks of a text (section 6.2). */
function dearmor(text: string): Uint8Array {
  const blocks = text.split('-----BEGIN PGP PUBLIC KEY BLOCK-----').slice(1);
  const parts = blocks.map((block) => {
    const [content = ''] = block.split('-----END PGP');
    const lines = content.split(/\r?\n/).slice(1);
    const blank = lines.findIndex((line) => line.trim() === '');
    return lines
      .slice(blank + 1)
      .filter((line) => !line.startsWith('='))
      .join('');
  });
  return Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')));
}

function armor(bytes: Uint8Array): string {
  const body = Buffer.from(bytes)
    .toString('base64')
    .replace(/(.{64})(?=.)/g, '$1\n');
  const check = Buffer.from([crc24(bytes) >> 16, (crc24(bytes) >> 8) & 255, crc24(bytes) & 255]).toString('base64');
  return `-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n${body}\n=${check}\n-----END PGP PUBLIC KEY BLOCK-----\n`;
}

/** Section 6.1. */
function crc24(bytes: Uint8Array): number {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x800000) === 0 ? crc << 1 : ((crc << 1) ^ 0x864cfb) & 0xffffff;
  }
  return crc & 0xffffff;
}
