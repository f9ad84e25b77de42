/**
 * Finding words in the files of a kernel tree: by its index, by grep in what is not indexed; and the text of single files.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../base/run.ts';
import { inParallel } from '../../kbuild/compile.ts';
import { wordsOf } from './c-text.ts';
import { JOIN, WordIndex } from './word-index.ts';

/** Files of one grep: its command line must stay below two megabytes. */
const BATCH = 4000;

export class TreeSearch {
  readonly tree: string;
  readonly #headers: readonly string[];
  readonly #index: WordIndex;
  readonly #texts = new Map<string, string>();

  /** `headers`: the files that count as headers when all of them are searched. */
  constructor(tree: string, headers: readonly string[], index: WordIndex) {
    this.tree = tree;
    this.#index = index;
    this.#headers = headers;
  }

  /** The text of a file of the tree; empty if it does not exist. */
  text(file: string): string {
    const text = this.#texts.get(file) ?? this.peek(file);
    this.#texts.set(file, text);
    return text;
  }

  /** Like `text`, for a file that is read only once. */
  peek(file: string): string {
    try {
      return readFileSync(join(this.tree, file), 'latin1');
    } catch {
      return '';
    }
  }

  /** For each of the files those of the words that it mentions, as far as an index can tell: one too many is possible. */
  mentions(words: Iterable<string>): (file: string) => Iterable<string> {
    const found = this.#index.mentions(words);
    return (file) => (this.#index.has(file) ? (found.get(file) ?? []) : wordsOf(this.text(file)));
  }

  /** Which of the files mention which of the words, each as a whole word. */
  async mentioning(words: readonly string[], files: readonly string[]): Promise<Map<string, Set<string>>> {
    const found = new Map<string, Set<string>>();
    if (words.length === 0) return found;
    const wanted = new Set(words);
    await this.#grep(files, ['-HowF', '-f', '-'], `${words.join('\n')}\n`, (line) => {
      const colon = line.indexOf(':');
      const word = line.slice(colon + 1);
      if (colon < 0 || !wanted.has(word)) return;
      const file = line.slice(0, colon);
      found.set(file, (found.get(file) ?? new Set()).add(word));
    });
    return found;
  }

  /**
   * Which of the files mention one of the words, each as a whole word; `##` counts as one. A file too many is possible:
   * whoever asks reads what is found.
   */
  async containing(words: readonly string[], files: readonly string[] | 'headers' = 'headers'): Promise<string[]> {
    if (words.length === 0) return [];
    const all = files === 'headers' ? this.#headers : files;
    const indexed = this.#index.mentioning(words.filter(WordIndex.knows));
    const found = all.filter((file) => indexed.has(file));
    await this.#search(
      words,
      all.filter((file) => !this.#index.has(file)),
      found,
    );
    await this.#search(
      words.filter((word) => !WordIndex.knows(word)),
      all.filter((file) => this.#index.has(file) && !indexed.has(file)),
      found,
    );
    return found;
  }

  async #search(words: readonly string[], files: readonly string[], found: string[]): Promise<void> {
    const joins = words.includes(JOIN); // is not a word and never part of one
    for (const [texts, option] of [
      [joins ? [JOIN] : [], '-lF'],
      [words.filter((word) => word !== JOIN), '-lwF'],
    ] as const) {
      if (texts.length === 0 || files.length === 0) continue;
      await this.#grep(files, [option, '-f', '-'], `${texts.join('\n')}\n`, (line) => {
        if (line !== '' && !found.includes(line)) found.push(line);
      });
    }
  }

  async #grep(
    all: readonly string[],
    args: readonly string[],
    input: string,
    onLine: (line: string) => void,
  ): Promise<void> {
    const batches = Array.from({ length: Math.ceil(all.length / BATCH) }, (_, index) =>
      all.slice(index * BATCH, (index + 1) * BATCH),
    );
    await inParallel(batches, 2, async (batch) => {
      // Status 2: a file could not be read, as one that is only made while the kernel is built.
      const { stdout } = await run('grep', [...args, '-a', '--', ...batch], {
        cwd: this.tree,
        env: { LC_ALL: 'C' },
        input,
      });
      for (const line of stdout.toString('latin1').split('\n')) onLine(line);
    });
  }
}
