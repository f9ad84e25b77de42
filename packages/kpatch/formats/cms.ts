/** A detached CMS message (RFC 5652, section 5) as module signatures have it: what it says, without believing any of it. */
import { type Asn1, inside, insideContext, isContext, oidText, readAsn1, UNIVERSAL } from './asn1.ts';

export interface CmsMessage {
  /** Name of the digest of the one signer, as `sha256`; its object identifier where it has no name here. */
  readonly hash: string;
  /** Serial number of the certificate that the signer names, or its key identifier; upper-case hexadecimal. */
  readonly serial: string;
  /** The signature proper. */
  readonly value: Uint8Array;
  /** Object identifier of the content's type. */
  readonly contentType: string;
  /** The content is in the message itself. */
  readonly attached: boolean;
  /** Authenticated (signed) attributes are there. */
  readonly attributes: boolean;
  readonly signers: number;
  /** Bytes after the message. */
  readonly trailing: number;
  /** The message has the one encoding that DER allows. */
  readonly der: boolean;
}

/** id-data (RFC 5652, section 4). */
export const ID_DATA = '1.2.840.113549.1.7.1';
const ID_SIGNED_DATA = '1.2.840.113549.1.7.2';

const hashes: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.8': 'sha3-256',
  '2.16.840.1.101.3.4.2.9': 'sha3-384',
  '2.16.840.1.101.3.4.2.10': 'sha3-512',
};

/** Reads ContentInfo, SignedData and its first SignerInfo. A string says what is wrong. */
export function readCms(bytes: Uint8Array): CmsMessage | string {
  const read = readAsn1(bytes);
  const info = inside(read?.element, UNIVERSAL.SEQUENCE);
  const signedData = inside(insideContext(info?.[1], 0)?.[0], UNIVERSAL.SEQUENCE);
  const signers = inside(signedData?.at(-1), UNIVERSAL.SET);
  const signer = inside(signers?.[0], UNIVERSAL.SEQUENCE);
  if (read === undefined || oidText(info?.[0]) !== ID_SIGNED_DATA || signers === undefined || signer === undefined) {
    return 'it is not a signed CMS message';
  }
  const content = inside(signedData?.[2], UNIVERSAL.SEQUENCE);
  // version, identifier, digest, [0] signed attributes, algorithm, value
  const [, identifier, digest, ...rest] = signer;
  const attributes = isContext(rest[0], 0);
  const value = rest[attributes ? 2 : 1];
  const oid = oidText(inside(digest, UNIVERSAL.SEQUENCE)?.[0]);
  if (
    identifier === undefined ||
    oid === '' ||
    value?.class !== 'universal' ||
    value.number !== UNIVERSAL.OCTET_STRING
  ) {
    return 'its signer is incomplete';
  }
  return {
    hash: hashes[oid] ?? oid,
    serial: serialOf(identifier),
    value: value.content,
    contentType: oidText(content?.[0]),
    attached: (content?.length ?? 0) > 1,
    attributes,
    signers: signers.length,
    trailing: read.trailing,
    der: read.element.der,
  };
}

/** IssuerAndSerialNumber, or [0] SubjectKeyIdentifier. */
function serialOf(identifier: Asn1): string {
  const serial = inside(identifier, UNIVERSAL.SEQUENCE)?.[1] ?? identifier;
  return Buffer.from(serial.content)
    .toString('hex')
    .toUpperCase()
    .replace(/^00(?=.)/, '');
}
