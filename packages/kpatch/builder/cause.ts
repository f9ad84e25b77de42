import type { SourceOverlay } from '../kbuild/overlay.ts';
import type { SourcePatch } from '../source/patch.ts';
import { wordsOf } from '../source/reach/c-text.ts';
import { editedNames, sourceItems } from '../source/reach/source-items.ts';

/** The change that one patch of a series makes in one file. */
export interface Edit {
  readonly patch: string;
  readonly file: string;
  /** Names of the changed definitions; empty if they are unknown. */
  readonly names: readonly string[];
}

export interface Cause {
  /**
   * `edited`: its own source changed; `through`: something compiled into it changed; `unknown`: the source does not show
   * it.
   */
  readonly kind: 'edited' | 'through' | 'unknown';
  /** The chain from what the function uses to what was edited; empty if the function itself was edited. */
  readonly chain: readonly string[];
  /** The edited place, such as `fs/proc/meminfo.c:35`, if known. */
  readonly place?: string;
  /** The patches that caused it; if unknown, all patches that affect the unit. */
  readonly patches: readonly string[];
}

/** Records the contents of the files before a patch is applied; the returned function records them afterwards. */
export function watchEdits(overlay: SourceOverlay, patch: SourcePatch): () => Edit[] {
  const files = [...new Set(patch.files.map(({ path }) => path))].filter((file) => /\.[ch]$/.test(file));
  const read = (file: string): string | undefined => overlay.text(file);
  const before = new Map(files.map((file) => [file, read(file)]));
  return () => files.map((file) => ({ patch: patch.name, file, names: editedNames(before.get(file), read(file)) }));
}

/** Maximum number of steps from a function to an edit. */
const DEPTH = 4;

/** Finds causes in the patched source of one unit. */
export class Causes {
  readonly #overlay: SourceOverlay;
  readonly #edits: readonly Edit[];
  readonly #source: string;
  readonly #text: string;
  #items: Map<string, Set<string>> | undefined;

  /** `source` is the file of the unit, `edits` are the changes of the series in files that affect it. */
  constructor(overlay: SourceOverlay, source: string, edits: readonly Edit[]) {
    this.#overlay = overlay;
    this.#source = source;
    this.#edits = edits;
    this.#text = overlay.text(source) ?? '';
  }

  /** `name` is the name of the function in the kernel; compiler suffixes do not matter. */
  of(name: string): Cause {
    const base = name.replace(/\.(?:isra|constprop|part|cold|llvm)\b.*$/, '');
    const own = this.#editsOf(base, this.#source);
    if (own.length > 0) return this.#cause('edited', [], own, base);
    let front: { name: string; chain: string[] }[] = [{ name: base, chain: [] }];
    const seen = new Set([base]);
    for (let depth = 0; depth < DEPTH && front.length > 0; depth++) {
      const next: { name: string; chain: string[] }[] = [];
      for (const { name: at, chain } of front) {
        for (const word of this.#uses().get(at) ?? []) {
          if (seen.has(word)) continue;
          seen.add(word);
          const edits = this.#editsOf(word);
          if (edits.length > 0) return this.#cause('through', [...chain, word], edits, word);
          if (this.#uses().has(word)) next.push({ name: word, chain: [...chain, word] });
        }
      }
      front = next;
    }
    return { kind: 'unknown', chain: [], patches: [...new Set(this.#edits.map(({ patch }) => patch))] };
  }

  #cause(kind: 'edited' | 'through', chain: string[], edits: readonly Edit[], name: string): Cause {
    const { file } = edits[0]!;
    const line = this.#lineOf(file, name);
    const place = line === undefined ? file : `${file}:${line}`;
    return { kind, chain, place, patches: [...new Set(edits.map(({ patch }) => patch))] };
  }

  #editsOf(name: string, file?: string): Edit[] {
    return this.#edits.filter((edit) => (file === undefined || edit.file === file) && edit.names.includes(name));
  }

  /** The definitions in the file of the unit, each with its words. */
  #uses(): Map<string, Set<string>> {
    if (this.#items === undefined) {
      this.#items = new Map();
      for (const { names, text } of sourceItems(this.#text)) {
        for (const name of names) {
          const words = this.#items.get(name) ?? new Set();
          for (const word of wordsOf(text)) words.add(word);
          this.#items.set(name, words);
        }
      }
    }
    return this.#items;
  }

  /**
   * The line of a definition in the patched file: the first at the left margin that is followed by its parameters or is a
   * macro.
   */
  #lineOf(file: string, name: string): number | undefined {
    const text = file === this.#source ? this.#text : (this.#overlay.text(file) ?? '');
    const lines = text.split('\n');
    const word = new RegExp(`^(?:[A-Za-z_][^;]*\\b|#\\s*define\\s+)${name}\\b`);
    const plain = lines.findIndex((line) => word.test(line) && !line.trimEnd().endsWith(';'));
    return plain < 0 ? undefined : plain + 1;
  }
}

/** The cause in words; empty if unknown. */
export function describeCause({ kind, chain, place }: Cause): string {
  if (kind === 'edited') return `edited, ${place}`;
  if (kind === 'through') return `uses ${chain.join(' and through it ')}, edited in ${place}`;
  return '';
}
