/** A kernel's configuration (`.config`). */
import { readBytes } from '../base/files.ts';

export class KernelConfig {
  readonly #values: ReadonlyMap<string, string>;

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  /**
   * The value of an option (`CONFIG_` may be left out): `y`, `m`, a number, a string without its quotes; undefined if not
   * set.
   */
  get(name: string): string | undefined {
    return this.#values.get(name.startsWith('CONFIG_') ? name : `CONFIG_${name}`);
  }

  /** True if the option is built in (`y`). */
  has(name: string): boolean {
    return this.get(name) === 'y';
  }

  /** All options that are set, with their full names. */
  entries(): IterableIterator<[string, string]> {
    return this.#values.entries();
  }

  /** The first option whose value differs from `other`'s, looking both ways; undefined if they are the same. */
  firstDifference(other: KernelConfig): { option: string; here: string; there: string } | undefined {
    for (const [option, here] of this.#values) {
      const there = other.get(option);
      if (there !== here) return { option, here, there: there ?? 'not set' };
    }
    for (const [option, there] of other.entries()) {
      if (this.get(option) === undefined) return { option, here: 'not set', there };
    }
    return undefined;
  }
}

/** Parses the text of a `.config` or `auto.conf`; lines that set nothing are skipped. */
export function parseConfig(text: string): KernelConfig {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (!line.startsWith('CONFIG_')) continue;
    const at = line.indexOf('=');
    if (at < 0) continue;
    const value = line.slice(at + 1).trimEnd();
    if (value !== 'n') values.set(line.slice(0, at), value.startsWith('"') ? unquote(value) : value);
  }
  return new KernelConfig(values);
}

/** Reads a `.config`. Error: `file-unreadable`. */
export function readConfig(path: string): KernelConfig {
  return parseConfig(readBytes(path).toString());
}

function unquote(value: string): string {
  const inner = value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value.slice(1);
  return inner.replace(/\\(["\\])/g, '$1');
}
