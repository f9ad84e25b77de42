/**
 * Run-pre match: is the function that was just compiled the one that the target runs? ("pre" is the code that the patch
 * starts from, "run" what is running; Arnold and Kaashoek, "Ksplice: Automatic Rebootless Kernel Updates", EuroSys 2009.)
 *
 * First the bytes are compared with the relocated fields masked out, and each field must point where its relocation says.
 * Where that fails the instructions are compared one by one: padding inside the function and the short or long form of a
 * branch depend on the distance to other functions, so on the compiler's section flags, and are no difference of the code.
 */

import { failure } from '../base/errors/error.ts';
import { STB } from '../formats/elf/constants.ts';
import type { ElfObject, ElfSymbol, Section } from '../formats/elf/object.ts';
import type { CodeSymbol, RunningCode } from '../kernel/running-code.ts';
import type { RunPreRules } from '../platform/common/run-pre.ts';
import { type KernelRules, newestKernel } from '../platform/kernel-rules.ts';
import type { Architecture, Decoder } from '../platform/platform.ts';
import { architectureOf } from '../platform/registry.ts';
import { Bindings } from './bindings.ts';
import { type CompiledFunction, compiledFunction } from './compiled-function.ts';
import { agreesAround, type Contest, type FieldComparison, fieldAgrees, rewrittenAt } from './contest.ts';
import { matchInstructions } from './instructions.ts';
import { wrongPart } from './parts.ts';

/** The first instruction at which compiled and running code differ. */
export interface DifferentInstruction {
  /** Bytes from the start of the compiled function. */
  readonly offset: number;
  readonly expectedInstruction: string;
  readonly foundInstruction: string;
}

export type RunPreResult =
  | {
      readonly matched: true;
      readonly function: string;
      readonly object: string;
      readonly address: bigint;
      /** As livepatch counts: 0 where the name is unique in its object. */
      readonly sympos: number;
      /** `bytes`: identical but for relocated fields; `instructions`: also but for padding and branch forms. */
      readonly by: 'bytes' | 'instructions';
    }
  | {
      readonly matched: false;
      readonly function: string;
      readonly object: string;
      /**
       * `absent`: no such symbol; `differs`: other code; `overridden`: a weak function, and the target runs the strong one
       * of another file; `ambiguous`: several candidates fit and nothing tells them apart.
       */
      readonly reason: 'absent' | 'differs' | 'overridden' | 'ambiguous';
      /** The first difference to the candidate that agrees the longest. */
      readonly firstDifference?: DifferentInstruction;
      readonly candidates: readonly CodeSymbol[];
    };

/** Matches the functions of one compiled object against the code of the object that it is part of. */
export class RunPreMatcher {
  readonly #object: ElfObject;
  readonly #code: RunningCode;
  readonly #arch: Architecture;
  readonly #rules: RunPreRules;
  readonly #kernel: KernelRules;
  readonly #decoders = new Map<Section, Decoder>();
  #bindings: Bindings;
  #names: Set<string> | undefined;

  /**
   * `object` is the unpatched compilation unit, `kernel` the one that it is compiled for (absent: the newest that is
   * known).
   * Error: `elf-unsupported` for a machine without run-pre match.
   */
  constructor(object: ElfObject, code: RunningCode, kernel = newestKernel) {
    this.#object = object;
    this.#code = code;
    this.#kernel = kernel;
    const platform = architectureOf(object);
    if (platform.runPre === undefined) {
      throw failure('elf-unsupported', { file: object.file, kind: `run-pre match on ${platform.name}` });
    }
    this.#arch = platform;
    this.#rules = platform.runPre;
    this.#bindings = new Bindings(object, code);
  }

  /**
   * Matches functions, unique names first: what their relocations say of the object's place tells equal names apart.
   * The results are in the order of `symbols`. Symbols that are not functions of this object are `absent`.
   */
  matchAll(symbols: readonly ElfSymbol[]): RunPreResult[] {
    const results = new Map<ElfSymbol, RunPreResult>();
    const count = (symbol: ElfSymbol): number => this.#code.symbols(symbol.name).length;
    const later: ElfSymbol[] = [];
    for (const symbol of symbols) {
      if (count(symbol) === 1) results.set(symbol, this.match(symbol));
      else later.push(symbol);
    }
    // What a doubtful one settles may settle the next: go round as long as that helps.
    for (let before = -1; later.length > 0 && before !== later.length; ) {
      before = later.length;
      for (const symbol of later.splice(0)) {
        const result = this.match(symbol);
        results.set(symbol, result);
        if (!result.matched && result.reason === 'ambiguous') later.push(symbol);
      }
    }
    return symbols.map((symbol) => results.get(symbol)!);
  }

  /** Matches one function; for several of one object `matchAll` knows more. */
  match(symbol: ElfSymbol): RunPreResult {
    const { object } = this.#code;
    const candidates = this.#code.symbols(symbol.name);
    const compiled = compiledFunction(this.#object, symbol, this.#arch, this.#kernel);
    const base = { function: symbol.name, object, candidates };
    if (compiled === undefined || candidates.length === 0) return { matched: false, ...base, reason: 'absent' };
    const fitting: { candidate: CodeSymbol; bindings: Bindings; by: 'bytes' | 'instructions' }[] = [];
    let nearest: { contest: Contest; ours: number; theirs: number } | undefined;
    for (const candidate of candidates) {
      let contest = this.#contest(compiled, candidate.address);
      let comparison = matchBytes(contest);
      if (!comparison.same) {
        contest = this.#contest(compiled, candidate.address); // what the first attempt noted must not count
        comparison = matchInstructions(contest, comparison.ours);
      }
      if (comparison.same) fitting.push({ candidate, bindings: contest.bindings, by: comparison.by });
      else if (nearest === undefined || comparison.ours > nearest.ours) nearest = { contest, ...comparison };
    }
    const chosen = fitting.length > 1 ? this.#closest(compiled, fitting) : fitting[0];
    if (chosen !== undefined) {
      this.#bindings = chosen.bindings;
      const { address, sympos } = chosen.candidate;
      return { matched: true, function: symbol.name, object, address, sympos, by: chosen.by };
    }
    if (fitting.length > 1) return { matched: false, ...base, reason: 'ambiguous' };
    return {
      matched: false,
      ...base,
      reason: symbol.bind === STB.WEAK ? 'overridden' : 'differs',
      ...(nearest === undefined ? {} : { firstDifference: show(nearest) }),
    };
  }

  /** Where the target has a symbol of this object, as far as the functions that matched so far tell. */
  addressOf(symbol: ElfSymbol): bigint | undefined {
    const base = typeof symbol.section === 'object' ? this.#bindings.base(symbol.section) : undefined;
    return base === undefined ? undefined : BigInt.asUintN(64, base + BigInt(symbol.value));
  }

  #contest(compiled: CompiledFunction, address: bigint): Contest {
    const { section } = compiled;
    const decoder = this.#decoders.get(section) ?? this.#arch.decoder(section.data);
    this.#decoders.set(section, decoder);
    const bindings = this.#bindings.fork(this.#object);
    return {
      compiled,
      code: this.#code,
      address,
      bindings,
      arch: this.#arch,
      rules: this.#rules,
      decoder,
      parts: new Map(),
    };
  }

  /**
   * Of several candidates that fit, the only one that is between functions of this object that are known already, or is
   * parted from one of them by nothing foreign: what one object puts into one section of the kernel lies together.
   */
  #closest<T extends { candidate: CodeSymbol }>(compiled: CompiledFunction, fitting: readonly T[]): T | undefined {
    const base = this.#bindings.base(compiled.section);
    if (base !== undefined) {
      // other functions of this very section are known, so this one's place is
      return fitting.find(({ candidate: { address } }) => address === base + BigInt(compiled.start));
    }
    const kind = textKind(compiled.section.name);
    const sections = this.#object.sections.filter((section) => textKind(section.name) === kind);
    const places = sections.map((section) => this.#bindings.base(section));
    const known = places.filter((place) => place !== undefined);
    const inside = fitting.filter(
      ({ candidate: { address } }) =>
        known.some((place) => place <= address) && known.some((place) => place >= address),
    );
    if (inside.length === 1) return inside[0];
    const beside = fitting.filter(({ candidate: { address } }) => known.some((place) => this.#adjoins(address, place)));
    if (beside.length === 1) return beside[0];
    // The next object may begin with a copy of the same function: the compiler's order of sections is that of the code.
    const index = sections.indexOf(compiled.section);
    const before = places.slice(0, index).findLast((place) => place !== undefined);
    const behind = places.slice(index + 1).find((place) => place !== undefined);
    const inOrder = beside.filter(
      ({ candidate: { address } }) =>
        (before === undefined || before <= address) && (behind === undefined || address <= behind),
    );
    return inOrder.length === 1 ? inOrder[0] : undefined;
  }

  /** True if between two addresses there are only symbols of names that this object defines, and not many. */
  #adjoins(one: bigint, other: bigint): boolean {
    this.#names ??= new Set(
      this.#object.symbols.filter((symbol) => typeof symbol.section === 'object').map(({ name }) => name),
    );
    const [low, high] = one < other ? [one, other] : [other, one];
    let at: bigint | undefined = low;
    for (let steps = 0; steps < MAXIMUM_STEPS; steps++) {
      at = this.#code.nextAddress(at);
      if (at === undefined) return false;
      if (at >= high) return true;
      if (!this.#code.names(at).some((name) => this.#names!.has(name))) return false;
    }
    return false;
  }
}

/** Functions that may be between two functions of one object; the largest objects have a few thousand. */
const MAXIMUM_STEPS = 5000;

/** The output section that a section of code goes to: `.text.f` and `.text` together, `.text.unlikely.f` apart. */
function textKind(name: string): string | undefined {
  const match = /^\.(?:text\.(?:unlikely|hot|startup|exit)|init\.text|exit\.text|noinstr\.text|text)(?=\.|$)/.exec(
    name,
  );
  return match?.[0];
}

function matchBytes(contest: Contest): FieldComparison {
  const { compiled, code, address, bindings, rules } = contest;
  const { start, end, section } = compiled;
  const { data } = section;
  const theirs = code.read(address, end - start);
  const differs = (offset: number): FieldComparison => ({ same: false, ours: offset, theirs: offset });
  if (theirs === undefined) return differs(0);
  if (!bindings.bindSection(section, address - BigInt(start))) return differs(0);
  let at = start;
  for (const relocation of [...compiled.relocations, undefined]) {
    const field = relocation === undefined ? undefined : rules.field(relocation.type);
    const stop = relocation === undefined ? end : relocation.offset - (field?.before ?? 0);
    for (; at < stop; at++) if (data[at] !== theirs[at - start]) return differs(at - start);
    if (relocation === undefined) break;
    const place = address + BigInt(relocation.offset - start);
    if (field === undefined || !fieldAgrees(contest, relocation, place)) return differs(at - start);
    const form = rewrittenAt(contest, relocation, place);
    const ours = form?.bytes ?? data.subarray(at, relocation.offset + field.size);
    for (const byte of ours) {
      const inField = form?.part === 'gone' ? -1 : at - relocation.offset;
      const other = theirs[at - start] ?? 0;
      if (inField < 0 ? byte !== other : !agreesAround(field, inField, byte, other)) return differs(at - start);
      at++;
    }
  }
  const wrong = wrongPart(contest);
  return wrong === undefined ? { same: true, by: 'bytes' } : differs(wrong.relocation.offset - start);
}

/** The instruction that holds the first difference, as both sides have it. */
function show({ contest, ours, theirs }: { contest: Contest; ours: number; theirs: number }): DifferentInstruction {
  const { compiled, code, address, arch, rules, decoder } = contest;
  let at = compiled.start;
  for (;;) {
    const length = decoder.instruction(at)?.length ?? 1;
    if (at + length > compiled.start + ours || at + length >= compiled.end) break;
    at += length;
  }
  const skew = theirs - ours;
  const found = address + BigInt(at - compiled.start + skew);
  const bytes = code.read(found, 16) ?? code.read(found, 1) ?? new Uint8Array(0);
  const text = (data: Uint8Array, from: number, length: number): string =>
    arch.disassemble(data, from, Math.min(from + length, data.length))[0]?.text ?? 'nothing';
  const relocation = compiled.relocations.find(
    ({ offset }) => offset >= at && offset < at + 16 && offset <= compiled.start + ours,
  );
  const expected = relocation?.symbol === undefined ? '' : ` (${relocation.symbol.name || 'a section'})`;
  const field = relocation === undefined ? undefined : rules.field(relocation.type);
  const place = relocation === undefined ? 0n : address + BigInt(relocation.offset - compiled.start + skew);
  const target = field === undefined ? undefined : code.target(place, field);
  const points =
    target === undefined
      ? ''
      : target.kind === 'external'
        ? ` (${target.name})`
        : ` (${code.describe(target.address + BigInt(field!.bias))})`;
  return {
    offset: at - compiled.start,
    expectedInstruction: `${text(compiled.section.data, at, decoder.instruction(at)?.length ?? 1)}${expected}`,
    foundInstruction: `${text(bytes, 0, arch.decoder(bytes).instruction(0)?.length ?? 1)}${points}`,
  };
}
