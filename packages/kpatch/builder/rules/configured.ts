/**
 * Proves that a kernel was built without a source file: every list of kbuild that names its object, or the folder it is in,
 * depends on an option that is not set (Documentation/kbuild/makefiles.rst). Code that no such list names can still be part of
 * the image (boot code, vdso), so whatever cannot be proven here counts as part of the kernel.
 */
import { basename, dirname, posix } from 'node:path';

/** What the proof reads: the text of a file in the tree, and the value of an option (undefined if it is not set). */
export interface ConfiguredTree {
  readonly read: (path: string) => string | undefined;
  readonly option: (name: string) => string | undefined;
}

/** A list in a Makefile that names a word, with the options that the lines around it require. */
interface Mention {
  readonly list: string;
  readonly requires: readonly string[];
}

/** Lists whose members are not linked into anything. */
const notLinked = /^(?:targets|clean-files|no-clean-files)\b/;
/** Lists that kbuild itself links or descends into; any other list is part of a composite object, or of something else. */
const kbuildList = /^(?:obj|lib|subdir|core|drivers|libs|net|virt)$/;
const listName =
  /^([\w-]+?)-(?:\$\(CONFIG_(\w+)\)|\$\(subst m,y,\$\(CONFIG_(\w+)\)\)|\$\(CONFIG_(\w+):m=y\)|y|m|objs)$/;

const assignment = /^((?:[^\s$:+?=]|\$\((?:[^()]|\([^()]*\))*\))+)\s*(?::{0,3}|\+|\?)=(.*)$/;

export class Configured {
  readonly #tree: ConfiguredTree;
  readonly #lines = new Map<string, readonly string[]>();

  constructor(tree: ConfiguredTree) {
    this.#tree = tree;
  }

  /** The option whose absence keeps the code of this file out of the kernel; undefined if that is not certain. */
  missing(file: string): string | undefined {
    if (/\.[cS]$/.test(file)) {
      const object = file.replace(/[cS]$/, 'o');
      for (let folder = dirname(file); ; folder = dirname(folder)) {
        const makefile = this.#makefile(folder);
        const option = makefile && this.#unset(makefile, [posix.relative(folder, object)]);
        if (option !== undefined) return option;
        if (makefile !== undefined || folder === '.') break;
      }
    }
    return this.#folder(dirname(file));
  }

  /** The option without which kbuild does not enter the folder. */
  #folder(folder: string): string | undefined {
    if (folder === '.' || !folder.includes('/')) return undefined;
    for (let above = dirname(folder); above !== '.'; above = dirname(above)) {
      const makefile = this.#makefile(above);
      const name = posix.relative(above, folder);
      const option = makefile && this.#unset(makefile, [`${name}/`, name, `${folder}/`]);
      if (option !== undefined) return option;
    }
    return this.#folder(dirname(folder));
  }

  #makefile(folder: string): readonly string[] | undefined {
    let lines = this.#lines.get(folder);
    if (lines === undefined) {
      const texts = ['Kbuild', 'Makefile'].map((name) => this.#tree.read(posix.join(folder, name)));
      const text = texts.filter((one) => one !== undefined).join('\n');
      lines = text === '' ? [] : text.replace(/\\\r?\n/g, ' ').split('\n');
      this.#lines.set(folder, lines);
    }
    return lines.length === 0 ? undefined : lines;
  }

  /** An option that is not set, if each mention of the words requires one. */
  #unset(makefile: readonly string[], words: readonly string[], seen: readonly string[] = []): string | undefined {
    const options = mentionsOf(makefile, words).map((mention) => this.#unsetFor(makefile, mention, seen));
    return options.includes(undefined) ? undefined : options[0];
  }

  #unsetFor(makefile: readonly string[], { list, requires }: Mention, seen: readonly string[]): string | undefined {
    const around = requires.find((name) => this.#tree.option(name) === undefined);
    if (around !== undefined) return around;
    const [, name, ...options] = listName.exec(list) ?? [];
    if (name === undefined) return undefined;
    const option = options.find((one) => one !== undefined);
    if (option !== undefined && this.#tree.option(option) === undefined) return option;
    if (kbuildList.test(name) || seen.includes(name)) return undefined;
    return this.#unset(makefile, [`${name}.o`], [...seen, name]);
  }
}

/** Where the lists of a Makefile name one of the words. */
function mentionsOf(makefile: readonly string[], words: readonly string[]): Mention[] {
  const mentions: Mention[] = [];
  /** For each open condition the option that it requires; undefined if it requires none or another value. */
  const open: (string | undefined)[] = [];
  for (const line of makefile) {
    const text = line.replace(/#.*$/, '').trim();
    if (/^if(?:n?def|n?eq)\b/.test(text)) open.push(requiredBy(text));
    else if (/^else\b/.test(text)) open[open.length - 1] = requiredBy(text.replace(/^else\s*/, ''));
    else if (/^endif\b/.test(text)) open.pop();
    const [, list, value] = assignment.exec(text) ?? [];
    if (list === undefined || value === undefined || notLinked.test(list)) continue;
    if (value.split(/[\s(),]+/).some((word) => words.includes(word)))
      mentions.push({ list, requires: open.filter((one) => one !== undefined) });
  }
  return mentions;
}

function requiredBy(condition: string): string | undefined {
  return (
    /^ifdef\s+CONFIG_(\w+)\s*$/.exec(condition)?.[1] ??
    /^ifeq\s*\(\s*\$\(CONFIG_(\w+)\)\s*,\s*[ym]\s*\)\s*$/.exec(condition)?.[1] ??
    /^ifneq\s*\(\s*\$\(CONFIG_(\w+)\)\s*,\s*\)\s*$/.exec(condition)?.[1]
  );
}

/** Folders whose code gets into the image by other means than kbuild's lists of objects, each with what it is. */
const imageParts: readonly (readonly [folder: RegExp, what: string])[] = [
  [/^arch\/[^/]+\/boot\//, 'boot code of the kernel image'],
  [/^drivers\/firmware\/efi\/libstub\//, 'the EFI stub, boot code of the kernel image'],
  [/^arch\/[^/]+\/realmode\//, 'real-mode code of the kernel image'],
  [/^arch\/[^/]+\/purgatory\//, 'the code that runs between two kernels (purgatory)'],
  [/^(?:lib\/vdso|arch\/[^/]+\/(?:entry\/|kernel\/)?vdso\w*)\//, 'code that the kernel maps into every process (vdso)'],
  [/^arch\/[^/]+\/kvm\/hyp\//, 'code of the hypervisor, linked separately'],
  [/^arch\/[^/]+\/kernel\/pi\//, 'boot code of the kernel image'],
  [/^(?:usr|certs)\//, 'data that the kernel image contains'],
];

/** What part of the image this file belongs to besides the objects of kbuild; undefined for any other file. */
export function imagePart(file: string): string | undefined {
  if (basename(file).startsWith('Kconfig')) return undefined;
  return imageParts.find(([folder]) => folder.test(file))?.[1];
}
