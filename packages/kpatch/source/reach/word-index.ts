/**
 * Which files of a kernel tree mention which words, kept in one file beside what else is derived from the tree. It is made
 * once and takes the place of searching hundreds of megabytes for each name that a header's change spreads to.
 * Words are kept as 32-bit hashes: an answer may have a file too many, never one too few. The names of the files follow as JSON.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { storedDocument } from '../../documents/form.ts';

/** Raised when what is kept changes. */
const FORMAT = 1;
/** Hashes are found by their upper half. */
const BUCKETS = 1 << 16;
/** Numbers in front: of hashes, of places, and the length of the list of names in bytes. */
const HEAD = 3;

/** The joining operator is looked for like a word. */
export const JOIN = '##';

export class WordIndex {
  readonly #file: string;
  readonly #fd: number;
  readonly #files: readonly string[];
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #hashes: number;
  readonly #buckets: Uint32Array;

  /** Opens what `wordIndex` wrote. */
  constructor(file: string) {
    this.#file = file;
    this.#fd = openSync(file, 'r');
    const [hashes = 0, places = 0, names = 0] = this.#read(0, HEAD);
    this.#hashes = hashes;
    this.#buckets = this.#read(HEAD, BUCKETS + 1);
    const at = 4 * (HEAD + BUCKETS + 1 + 2 * hashes + 1 + places);
    if (fstatSync(this.#fd).size !== at + names) throw new Error(`${file} is not whole`);
    const text = Buffer.alloc(names);
    readSync(this.#fd, text, 0, names, at);
    this.#files = storedDocument('kpatch.word-index-files', JSON.parse(text.toString()));
    this.#numbers = new Map(this.#files.map((name, number) => [name, number]));
  }

  has(file: string): boolean {
    return this.#numbers.has(file);
  }

  /** Whether the word's files are known: hexadecimal numbers are not kept. */
  static knows(word: string): boolean {
    return !word.startsWith('0x');
  }

  /** The files that mention one of the words. */
  mentioning(words: Iterable<string>): Set<string> {
    const found = new Set<number>();
    for (const word of words) for (const number of this.#places(hashOf(word))) found.add(number);
    return new Set(Array.from(found, (number) => this.#files[number]!));
  }

  /** The files that mention some of the words, each with those words. */
  mentions(words: Iterable<string>): Map<string, string[]> {
    const found = new Map<string, string[]>();
    for (const word of words) {
      for (const number of this.#places(hashOf(word))) {
        const file = this.#files[number]!;
        const list = found.get(file);
        if (list === undefined) found.set(file, [word]);
        else list.push(word);
      }
    }
    return found;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #places(hash: number): Uint32Array {
    const from = this.#buckets[hash >>> 16]!;
    const bucket = this.#read(HEAD + BUCKETS + 1 + from, this.#buckets[(hash >>> 16) + 1]! - from);
    const at = bucket.indexOf(hash);
    if (at < 0) return new Uint32Array();
    const starts = HEAD + BUCKETS + 1 + this.#hashes;
    const [start = 0, end = 0] = this.#read(starts + from + at, 2);
    return this.#read(starts + this.#hashes + 1 + start, end - start);
  }

  #read(at: number, count: number): Uint32Array {
    const words = new Uint32Array(count);
    const bytes = new Uint8Array(words.buffer);
    for (let done = 0; done < bytes.length; ) {
      const length = readSync(this.#fd, bytes, done, bytes.length - done, 4 * at + done);
      if (length === 0) throw new Error(`${this.#file} ends early`);
      done += length;
    }
    return words;
  }
}

/** The index of these files of the tree, from `folder` or made there; seconds for a whole kernel, once. */
export function wordIndex(tree: string, files: () => Iterable<string>, folder: string): WordIndex {
  const path = join(folder, `words-${FORMAT}.bin`);
  try {
    return new WordIndex(path);
  } catch {
    mkdirSync(folder, { recursive: true });
    writeAtomically(path, indexOf(tree, files()));
    return new WordIndex(path);
  }
}

function indexOf(tree: string, files: Iterable<string>): Buffer {
  const names: string[] = [];
  const pairs = new Pairs();
  for (const file of files) {
    try {
      pairs.add(readFileSync(join(tree, file)), names.length);
      names.push(file);
    } catch {
      // One that is only made while the kernel is built.
    }
  }
  const { words, places } = pairs.sorted();
  const hashes = new Uint32Array(words.length);
  const starts = new Uint32Array(words.length + 1);
  const buckets = new Uint32Array(BUCKETS + 1);
  let count = 0;
  for (let at = 0; at < words.length; at++) {
    if (at > 0 && words[at] === words[at - 1]) continue;
    hashes[count] = words[at]!;
    starts[count++] = at;
    buckets[(words[at]! >>> 16) + 1]!++;
  }
  starts[count] = words.length;
  for (let at = 1; at <= BUCKETS; at++) buckets[at]! += buckets[at - 1]!;
  const list = Buffer.from(JSON.stringify(names));
  const head = Uint32Array.of(count, places.length, list.length);
  const parts = [head, buckets, hashes.subarray(0, count), starts.subarray(0, count + 1), places];
  return Buffer.concat([...parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength)), list]);
}

const PRIME = 0x01000193;
const BASIS = 0x811c9dc5;

/** FNV-1a. */
function hashOf(word: string): number {
  let hash = BASIS;
  for (let at = 0; at < word.length; at++) hash = Math.imul(hash ^ word.charCodeAt(at), PRIME);
  return hash >>> 0;
}

const isWord = Uint8Array.from({ length: 256 }, (_, code) =>
  Number(/\w/.test(String.fromCharCode(code)) && code < 128),
);
const [hash, zero, x] = ['#', '0', 'x'].map((sign) => sign.charCodeAt(0)) as [number, number, number];

/** Pairs of a word's hash and the number of a file that has it. */
class Pairs {
  #words = new Uint32Array(1 << 20);
  #places = new Uint32Array(1 << 20);
  #count = 0;
  /** Words of the file at hand. */
  #own = 0;
  /** Open hash table of the words of the file at hand; a slot is taken where its stamp is the file's. */
  readonly #seen = new Uint32Array(1 << 21);
  readonly #stamp = new Int32Array(1 << 21).fill(-1);

  add(bytes: Uint8Array, file: number): void {
    const { length } = bytes;
    this.#own = 0;
    for (let at = 0; at < length; at++) {
      const first = bytes[at]!;
      if (isWord[first] === 1) {
        const start = at;
        let value = BASIS;
        for (let code = first; isWord[code] === 1; code = at < length ? bytes[at]! : 0) {
          value = Math.imul(value ^ code, PRIME);
          at++;
        }
        if (first !== zero || bytes[start + 1] !== x) this.#note(value >>> 0, file);
        at--;
      } else if (first === hash && bytes[at + 1] === hash) this.#note(hashOf(JOIN), file);
    }
  }

  #note(word: number, file: number): void {
    const mask = this.#seen.length - 1;
    let slot = (word ^ (word >>> 15)) & mask;
    while (this.#stamp[slot] === file && this.#seen[slot] !== word) slot = (slot + 1) & mask;
    if (this.#stamp[slot] === file) return;
    // More words than half of the table: the rest of them may be noted twice.
    if (this.#own++ < mask >>> 1) {
      this.#stamp[slot] = file;
      this.#seen[slot] = word;
    }
    if (this.#count === this.#words.length) {
      this.#words = grown(this.#words);
      this.#places = grown(this.#places);
    }
    this.#words[this.#count] = word;
    this.#places[this.#count++] = file;
  }

  /** By word, then by file: two stable passes over halves of the word. */
  sorted(): { words: Uint32Array; places: Uint32Array } {
    let [words, places] = [this.#words.subarray(0, this.#count), this.#places.subarray(0, this.#count)];
    for (const shift of [0, 16]) {
      const next = new Uint32Array(BUCKETS + 1);
      for (const word of words) next[((word >>> shift) & 0xffff) + 1]!++;
      for (let at = 1; at <= BUCKETS; at++) next[at]! += next[at - 1]!;
      const [toWords, toPlaces] = [new Uint32Array(this.#count), new Uint32Array(this.#count)];
      for (let at = 0; at < this.#count; at++) {
        const to = next[(words[at]! >>> shift) & 0xffff]!++;
        toWords[to] = words[at]!;
        toPlaces[to] = places[at]!;
      }
      [words, places] = [toWords, toPlaces];
    }
    return { words, places };
  }
}

function grown(array: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length + (array.length >> 1));
  larger.set(array);
  return larger;
}
