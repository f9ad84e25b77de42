/**
 * Run-pre match of a compiled pair: compares the replaced functions with the code of the target kernel. The addresses in
 * the matched code also give the positions of symbols that share a name.
 */
import { STT } from '../formats/elf/constants.ts';
import type { ElfObject, ElfSymbol } from '../formats/elf/object.ts';
import { codeDigest, type RunningCode } from '../kernel/running-code.ts';
import type { KernelRules } from '../platform/kernel-rules.ts';
import { architectureOf } from '../platform/registry.ts';
import { RunPreMatcher, type RunPreResult } from '../run-pre/match.ts';

/** One unit of one object, compared with the target on demand. */
export class RunPre {
  readonly #object: ElfObject;
  readonly #code: RunningCode;
  readonly #kernel: KernelRules;
  #matcher: RunPreMatcher | undefined;
  #results: Map<string, RunPreResult> | undefined;

  /** `object` is the unpatched unit, compiled for `kernel`. */
  constructor(object: ElfObject, code: RunningCode, kernel: KernelRules) {
    this.#object = object;
    this.#code = code;
    this.#kernel = kernel;
  }

  /** The result for a function of the unit; undefined if the unit has none of that name. */
  result(name: string): RunPreResult | undefined {
    return this.#matchAll().get(name);
  }

  /** True if every function of the unit that the target has matched. */
  get isComplete(): boolean {
    const others = [...this.#matchAll().values()].filter(({ matched }) => !matched);
    return others.every((result) => !result.matched && ['absent', 'overridden'].includes(result.reason));
  }

  /** The position (from 1) that livepatch counts for one of several symbols of a name; undefined if nothing tells. */
  position(name: string): number | undefined {
    const result = this.result(name);
    if (result !== undefined) return result.matched && result.sympos > 0 ? result.sympos : undefined;
    const symbol = this.#ownSymbol(name);
    const address = symbol === undefined ? undefined : this.#matcher?.addressOf(symbol);
    if (address === undefined) return undefined;
    const found = this.#code.symbols(name).find((candidate) => candidate.address === address);
    return found === undefined || found.sympos === 0 ? undefined : found.sympos;
  }

  /** SHA-256 of the code of the target, for a function that matched: its digest in the manifest. */
  digest(name: string): string | undefined {
    const result = this.result(name);
    return result?.matched === true ? codeDigest(this.#code, result.address) : undefined;
  }

  #ownSymbol(name: string): ElfSymbol | undefined {
    return this.#object.symbols.find((symbol) => symbol.name === name && typeof symbol.section === 'object');
  }

  #matchAll(): Map<string, RunPreResult> {
    if (this.#results !== undefined) return this.#results;
    const object = this.#object;
    this.#matcher = new RunPreMatcher(object, this.#code, this.#kernel);
    const { prefixOf } = architectureOf(object);
    const functions = object.symbols.filter(
      ({ type, section, size, name }) =>
        type === STT.FUNC &&
        typeof section === 'object' &&
        size > 0 &&
        !section.name.startsWith('.init') &&
        prefixOf(name) === undefined,
    );
    const results = this.#matcher.matchAll(functions);
    this.#results = new Map(results.map((result) => [result.function, result]));
    return this.#results;
  }
}

/** A mismatch in words, one line. */
export function describeMismatch(result: RunPreResult | undefined, name: string): string {
  if (result === undefined) return `${name}: not a function of the compiled unit`;
  if (result.matched) return `${name}: matched`;
  const { firstDifference } = result;
  const reasons = {
    absent: `${result.object} has no function of this name`,
    overridden: 'it is weak, and the kernel uses the definition of another file',
    ambiguous: 'several functions of this name match, so the right one is unknown',
    differs: 'the code differs',
  } as const;
  const detail =
    firstDifference === undefined
      ? ''
      : `; at +0x${firstDifference.offset.toString(16)} compiled: ${firstDifference.expectedInstruction} | running: ${firstDifference.foundInstruction}`;
  return `${name}: ${reasons[result.reason]}${detail}`;
}
