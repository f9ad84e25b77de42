/** Where an include line leads, and what takes the place of a file that is only made while the kernel is built. */
import { posix } from 'node:path';

/** A file from these is only meant where the name leads there exactly. */
const onlyExact = /^(tools|scripts)\//;

/** What is not there before the kernel is built, and what it is made from. */
export class Products {
  readonly #all: ReadonlySet<string>;
  readonly #byName = new Map<string, string[]>();
  /** Files that are no C and no assembly, by their folder: what generators read. */
  readonly #inputs = new Map<string, string[]>();

  /** `named`: lines of grep, Makefile, colon, a name in it. */
  constructor(named: readonly string[], files: readonly string[]) {
    this.#all = new Set(files);
    for (const line of named) {
      const [makefile = '', name = ''] = line.split(':');
      if (name === '' || onlyExact.test(makefile)) continue;
      append(this.#byName, name, posix.join(posix.dirname(makefile), name));
    }
    for (const file of files) {
      if (!/\.[chS]$/.test(file) && file.includes('.')) append(this.#inputs, posix.dirname(file), file);
    }
  }

  /** Whether the file that an include line means, and that is not there, is made while the includer is compiled. */
  has(includer: string, name: string): boolean {
    if (onlyExact.test(includer)) return false;
    if (name.endsWith('.asn1.h')) return true; // by a rule for all of them in scripts/Makefile.build
    const spelled = posix.normalize(name).replace(/^(\.\.\/)+/, '');
    return (this.#byName.get(posix.basename(name)) ?? []).some((file) => file.endsWith(`/${spelled}`));
  }

  /** The unit of an object whose source is generated, and the files that its text may come from; else undefined. */
  sourcesOf(object: string): { unit: string; from: readonly string[] } | undefined {
    const stem = object.replace(/\.o$/, '');
    const unit = `${stem}.c`;
    if (this.#all.has(unit) || this.#all.has(`${stem}.S`)) return undefined;
    const copied = [`tools/lib/bpf/${posix.basename(unit)}`].filter((file) => this.#all.has(file));
    return { unit, from: [...(this.#inputs.get(posix.dirname(object)) ?? []), ...copied] };
  }
}

function append(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Finds the files that an include line can mean; `folders` are those of LINUXINCLUDE in their order. */
export class Resolver {
  readonly #all: ReadonlySet<string>;
  readonly #byName = new Map<string, string[]>();
  readonly #folders: readonly string[];

  constructor(files: readonly string[], folders: readonly string[]) {
    this.#all = new Set(files);
    this.#folders = folders;
    for (const file of files) {
      if (onlyExact.test(file)) continue;
      append(this.#byName, posix.basename(file), file);
    }
  }

  /** All files that the name can mean in this file; exactly one where the compiler's order leaves no doubt. */
  find(includer: string, name: string, quoted: boolean, next: boolean): readonly string[] {
    if (!next) {
      const beside = posix.join(posix.dirname(includer), name);
      if (quoted && this.#all.has(beside)) return [beside];
      for (const folder of this.#folders) {
        const file = posix.join(folder, name);
        if (this.#all.has(file)) return [file];
      }
    }
    const spelled = posix.normalize(name).replace(/^(\.\.\/)+/, '');
    const same = this.#byName.get(posix.basename(spelled)) ?? [];
    return same.filter((file) => file === spelled || file.endsWith(`/${spelled}`));
  }
}
