/** Finding words in the files of a kernel tree: grep over thousands of files at once, and the text of single ones. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../util/run.ts';
import { inParallel } from './compile.ts';

/** Files of one grep: its command line must stay below two megabytes. */
const BATCH = 4000;

export class TreeSearch {
  readonly tree: string;
  readonly #headers: readonly string[];
  readonly #texts = new Map<string, string>();

  /** `headers`: the files that count as headers when all of them are searched. */
  constructor(tree: string, headers: readonly string[]) {
    this.tree = tree;
    this.#headers = headers;
  }

  /** The text of a file of the tree; empty where it does not exist. */
  text(file: string): string {
    const text = this.#texts.get(file) ?? this.peek(file);
    this.#texts.set(file, text);
    return text;
  }

  /** As `text`, for a file that is looked at once. */
  peek(file: string): string {
    try {
      return readFileSync(join(this.tree, file), 'latin1');
    } catch {
      return '';
    }
  }

  /** Which of the files mention which of the words, each as a whole word. */
  async mentioning(words: readonly string[], files: readonly string[] | 'headers'): Promise<Map<string, Set<string>>> {
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

  /** Which of the files have one of the texts in them (as whole words if `words`). */
  async containing(
    texts: readonly string[],
    files: readonly string[] | 'headers' = 'headers',
    words = false,
  ): Promise<string[]> {
    const found: string[] = [];
    if (texts.length === 0) return found;
    const args = [words ? '-lwF' : '-lF', '-f', '-'];
    await this.#grep(files, args, `${texts.join('\n')}\n`, (line) => void (line !== '' && found.push(line)));
    return found;
  }

  async #grep(
    files: readonly string[] | 'headers',
    args: readonly string[],
    input: string,
    onLine: (line: string) => void,
  ): Promise<void> {
    const all = files === 'headers' ? this.#headers : files;
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
