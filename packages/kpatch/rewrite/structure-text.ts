/** The definition of a structure as the source writes it. */
import { blanked } from '../source/c-functions.ts';

/** A declaration of members, up to its semicolon. */
export interface Declaration {
  /** As the source writes it, with comments in it, from the first word to the semicolon. */
  readonly raw: string;
  /** Without comments, white space as single spaces, without the semicolon. */
  readonly text: string;
  /** The members that it declares; for an unnamed structure or union those inside. */
  readonly names: readonly string[];
  /** False for an unnamed structure or union, and for what is not understood. */
  readonly isPlain: boolean;
  /** The place after its semicolon, in the file. */
  readonly end: number;
  readonly start: number;
}

export interface StructureText {
  readonly name: string;
  /** Between the braces. */
  readonly start: number;
  readonly end: number;
  readonly declarations: readonly Declaration[];
}

/** The structures that a file defines at its outer level, by name; one that is defined twice is not listed. */
export function structuresIn(file: string): Map<string, StructureText> {
  const quiet = blanked(file);
  const found = new Map<string, StructureText>();
  const twice = new Set<string>();
  for (const match of quiet.matchAll(/^struct\s+(\w+)\s*\{/gm)) {
    const name = match[1]!;
    const start = match.index + match[0].length;
    const end = closing(quiet, start);
    if (found.has(name)) twice.add(name);
    found.set(name, { name, start, end, declarations: declarationsIn(file, quiet, start, end) });
  }
  for (const name of twice) found.delete(name);
  return found;
}

/** The place of the brace that closes the one before `from`. */
function closing(quiet: string, from: number): number {
  let depth = 1;
  for (let at = from; at < quiet.length; at++) {
    if (quiet[at] === '{') depth++;
    if (quiet[at] === '}' && --depth === 0) return at;
  }
  return quiet.length;
}

function declarationsIn(file: string, quiet: string, from: number, to: number): Declaration[] {
  // Conditions of the preprocessor stand between declarations and belong to none.
  const plain = quiet.slice(from, to).replace(/^[ \t]*#.*$/gm, (line) => ' '.repeat(line.length));
  const found: Declaration[] = [];
  let depth = 0;
  let last = 0;
  for (let at = 0; at < plain.length; at++) {
    const one = plain[at]!;
    if ('{(['.includes(one)) depth++;
    else if (')]}'.includes(one)) depth--;
    else if (one === ';' && depth === 0) {
      const lead = /^\s*/.exec(plain.slice(last, at))![0].length;
      const start = last + lead;
      const text = plain.slice(start, at).replace(/\s+/g, ' ').trim();
      const place = { start: from + start, end: from + at + 1 };
      found.push({ raw: file.slice(place.start, place.end), text, ...namesOf(text), ...place });
      last = at + 1;
    }
  }
  return found;
}

function namesOf(text: string): Pick<Declaration, 'names' | 'isPlain'> {
  const aggregate = /^(?:struct|union)\b[^{]*\{([\s\S]*)\}\s*([\s\S]*)$/.exec(text);
  const declarator = aggregate === null ? text : aggregate[2]!.replace(/__\w+(?:\([^()]*\))?/g, '').trim();
  if (aggregate !== null && declarator === '')
    return { names: aggregate[1]!.match(/\b[A-Za-z_]\w*/g) ?? [], isPlain: false };
  const pointer = /\(\s*\*+\s*(?:const\s+)?(\w+)(?:\[[^\]]*\])?\s*\)\s*\(/.exec(declarator)?.[1];
  if (pointer !== undefined) return { names: [pointer], isPlain: aggregate === null };
  // Macros such as DECLARE_BITMAP(name, bits) name the member first.
  const macro = /^[A-Z_][A-Z0-9_]*\s*\(\s*(\w+)/.exec(declarator)?.[1];
  if (macro !== undefined) return { names: [macro], isPlain: false };
  const names = declarator
    .replace(
      /____?cacheline\w*|__(?:aligned|packed|rcu|iomem|user|percpu|counted_by)\w*(?:\([^()]*(?:\([^()]*\))?[^()]*\))?/g,
      ' ',
    )
    .split(',')
    .flatMap((part) => /(\w+)\s*(?:\[[^\]]*\]\s*)*(?::[^:]*)?$/.exec(part.trim())?.[1] ?? []);
  return { names, isPlain: aggregate === null };
}
