/** Just enough of DER (X.690) to walk through a signature: elements with their tag and content, never a byte outside. */

export interface Element {
  /** The identifier octet: class, constructed bit and tag number in one. */
  readonly tag: number;
  readonly content: Uint8Array;
}

export const TAG = { INTEGER: 0x02, OCTETS: 0x04, OID: 0x06, SEQUENCE: 0x30, SET: 0x31, CONTEXT_0: 0xa0 } as const;

/** The elements in `bytes`, one after the other; undefined where they are not DER. */
export function elementsOf(bytes: Uint8Array): Element[] | undefined {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    const first = bytes[at + 1];
    // Long tags and indefinite lengths do not occur in DER signatures.
    if (first === undefined || (tag & 0x1f) === 0x1f || first === 0x80) return undefined;
    const more = first < 0x80 ? 0 : first & 0x7f;
    if (more > 4 || at + 2 + more > bytes.length) return undefined;
    let length = more === 0 ? first : 0;
    for (let index = 0; index < more; index++) length = length * 256 + bytes[at + 2 + index]!;
    const start = at + 2 + more;
    if (length > bytes.length - start) return undefined;
    elements.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return elements;
}

/** The text of an object identifier: `2.16.840.1.101.3.4.2.1`. */
export function oidText(content: Uint8Array): string {
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const byte of content.subarray(0, 64)) {
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
