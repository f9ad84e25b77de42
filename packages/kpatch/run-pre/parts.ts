/** Addresses that two instructions make, each with a part: they are compared when both places in the running code are known. */
import { type Contest, entryOf, type Part, refersTo } from './contest.ts';

/** The first part of an address that is not what its relocation makes; undefined if all are. */
export function wrongPart(contest: Contest): Part | undefined {
  const parts = [...contest.parts.values()];
  // What counts from its own place says where the TOC pointer is, from which the others count.
  const ordered = [...parts.filter(({ field }) => !field.fromToc), ...parts.filter(({ field }) => field.fromToc)];
  return ordered.find((part) => {
    if (part.rewritten?.part === 'gone') return false; // then the lower part must be alone, or it finds no partner
    const isLower = part.field.part === 'in page' || part.field.part === 'low';
    if (isLower && part.rewritten?.part === 'alone') return !addressAgrees(contest, undefined, part);
    const partner = partnerOf(part, parts);
    if (partner === undefined) return true;
    return !(isLower ? addressAgrees(contest, partner, part) : addressAgrees(contest, part, partner));
  });
}

const counterparts = { page: 'in page', 'in page': 'page', high: 'low', low: 'high' } as const;

/**
 * The other part of an address: with the same symbol and addend, or else with the same symbol, the nearest. One upper part may serve
 * several lower ones, which differ by a few bytes; and where upper and lower part both count from their own place, so do their addends.
 */
function partnerOf({ relocation, field }: Part, parts: readonly Part[]): Part | undefined {
  const wanted = counterparts[field.part!];
  const fitting = parts.filter(
    (other) =>
      other.field.part === wanted &&
      other.relocation.symbol === relocation.symbol &&
      other.field.fromToc === field.fromToc &&
      other.rewritten?.part === undefined,
  );
  const same = fitting.filter((other) => other.relocation.addend === relocation.addend);
  const distance = (other: Part): number => Math.abs(other.relocation.offset - relocation.offset);
  return (same.length > 0 ? same : fitting).sort((a, b) => distance(a) - distance(b))[0];
}

/** Bytes of a page, as instructions count them that make an address of two parts. */
const PAGE = 4096n;

/** True if both parts make the address that the lower one's relocation refers to. */
function addressAgrees(contest: Contest, upper: Part | undefined, lower: Part): boolean {
  const { code, bindings } = contest;
  const value = ({ address, field, rewritten }: Part): bigint | undefined => {
    const bytes = code.read(address, field.size);
    return bytes === undefined ? undefined : (rewritten?.field ?? field).value(bytes, 0, address);
  };
  const [high, low] = [upper === undefined ? 0n : value(upper), value(lower)];
  const base = startOf(upper, lower, bindings.external(TOC));
  if (high === undefined || low === undefined || base === undefined) return false;
  const target = { kind: 'address', address: BigInt.asUintN(64, base + high + low) } as const;
  if (lower.rewritten?.direct !== true) return refersTo(contest, lower.relocation, target, lower.field.bias);
  const entry = entryOf(lower.relocation);
  return entry !== undefined && bindings.accepts(entry, target, 0);
}

/** The symbol that linkers make for where the TOC pointer points (64-Bit ELF V2 ABI, section 3.4). */
const TOC = '.TOC.';

/** What the sum of the parts counts from. */
function startOf(upper: Part | undefined, lower: Part, toc: bigint | undefined): bigint | undefined {
  if (lower.field.fromToc === true) return toc;
  if (lower.field.part === 'low') return lower.address;
  return upper === undefined ? undefined : upper.address - (upper.address % PAGE);
}
