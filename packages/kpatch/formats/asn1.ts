/**
 * ASN.1 as the few questions that a signature needs answered. The reading is done by asn1js, which takes some milliseconds
 * to load, so it is loaded at the first message.
 */
import { createRequire } from 'node:module';
import { once } from '../base/once.ts';

type Asn1js = typeof import('asn1js');
type Block = InstanceType<Asn1js['BaseBlock']>;

const asn1js = once(() => createRequire(import.meta.url)('asn1js') as Asn1js);

/** One element. Tags are those of X.690: the class, and the number in it. */
export interface Asn1 {
  readonly class: 'universal' | 'application' | 'context' | 'private';
  readonly number: number;
  readonly constructed: boolean;
  /** The elements of a constructed one. */
  readonly items: readonly Asn1[];
  /** The bytes of the content. */
  readonly content: Uint8Array;
  /** True if it and all in it have the one encoding that DER allows: definite lengths, as short as possible. */
  readonly der: boolean;
}

export const UNIVERSAL = { INTEGER: 2, OCTET_STRING: 4, OID: 6, SEQUENCE: 16, SET: 17 } as const;

/** The first element in `bytes` and how many bytes follow it; undefined if they do not begin with one. */
export function readAsn1(bytes: Uint8Array): { element: Asn1; trailing: number } | undefined {
  // Outside of what is caught: a library that cannot be loaded says nothing about the message.
  const { fromBER } = asn1js();
  try {
    const { offset, result } = fromBER(Uint8Array.from(bytes).buffer);
    if (offset < 0 || result.error !== '') return undefined;
    return { element: elementOf(result as Block), trailing: bytes.length - offset };
  } catch {
    return undefined; // a value that the library does not take
  }
}

/** The text of an object identifier's content, as `2.16.840.1.101.3.4.2.1`. */
export function oidText(element: Asn1 | undefined): string {
  if (element?.class !== 'universal' || element.number !== UNIVERSAL.OID) return '';
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const byte of element.content.subarray(0, 64)) {
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    if (byte & 0x80) continue;
    if (arcs.length === 0) {
      const top = arc < 80n ? arc / 40n : 2n;
      arcs.push(top, arc - top * 40n);
    } else arcs.push(arc);
    arc = 0n;
  }
  return arcs.join('.');
}

/** The elements inside, where the element is a universal one of that number. */
export function inside(element: Asn1 | undefined, number: number): readonly Asn1[] | undefined {
  return element?.class === 'universal' && element.number === number && element.constructed ? element.items : undefined;
}

/** The elements inside, where the element has that tag of the context class. */
export function insideContext(element: Asn1 | undefined, number: number): readonly Asn1[] | undefined {
  return isContext(element, number) && element?.constructed ? element.items : undefined;
}

export function isContext(element: Asn1 | undefined, number: number): boolean {
  return element?.class === 'context' && element.number === number;
}

const classes = [undefined, 'universal', 'application', 'context', 'private'] as const;

function elementOf(block: Block): Asn1 {
  const { idBlock, lenBlock } = block;
  const constructed = idBlock.isConstructed;
  const inner = (block.valueBlock as { value?: unknown }).value;
  const items = constructed && Array.isArray(inner) ? (inner as Block[]).map(elementOf) : [];
  const raw = Buffer.from(block.valueBeforeDecodeView);
  const content = raw.subarray(idBlock.blockLength + lenBlock.blockLength);
  return {
    class: classes[idBlock.tagClass] ?? 'private',
    number: idBlock.tagNumber,
    constructed,
    items,
    content,
    der: isDefinite(block, content.length) && items.every((item) => item.der),
  };
}

/** X.690, 10.1: the definite form, in the fewest octets; 10.2: strings are not put together of parts. */
function isDefinite({ idBlock, lenBlock }: Block, length: number): boolean {
  const fewest = length < 0x80 ? 1 : 1 + Math.ceil(length.toString(16).length / 2);
  const parts = idBlock.isConstructed && idBlock.tagClass === 1 && idBlock.tagNumber === UNIVERSAL.OCTET_STRING;
  return !lenBlock.isIndefiniteForm && lenBlock.blockLength === fewest && !parts;
}
