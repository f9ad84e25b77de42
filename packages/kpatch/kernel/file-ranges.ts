/** A large file of which only the parts that are asked for are read. */
import { closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { failure } from '../base/errors/error.ts';
import { reasonOf } from '../base/files.ts';

/** Bytes that are read at once. */
const BLOCK = 1 << 16;

/**
 * `bytes` is as long as the file, and what was not read yet is zero: the system gives memory only to what is written, so that a
 * kernel image of 60 MB of which some functions are looked at costs some hundred kB.
 */
export class FileRanges {
  readonly bytes: Buffer;
  readonly #file: string;
  readonly #read: Uint8Array;
  readonly #before: Stats;

  /** Error: `file-unreadable`. */
  constructor(file: string) {
    this.#file = file;
    this.#before = this.#withFile((fd) => fstatSync(fd));
    const { size } = this.#before;
    this.bytes = Buffer.alloc(size);
    this.#read = new Uint8Array(Math.ceil(size / BLOCK));
  }

  /**
   * Reads the bytes from `offset` to `offset + length` into `bytes`, as far as the file reaches. Error: `file-unreadable`, also if
   * the file is another one than before.
   */
  need(offset: number, length: number): void {
    const first = Math.max(0, Math.floor(offset / BLOCK));
    const end = Math.min(this.#read.length, Math.ceil((offset + length) / BLOCK));
    if (this.#read.subarray(first, end).every((done) => done === 1)) return;
    this.#withFile((fd) => {
      const { ino, size, mtimeMs } = fstatSync(fd);
      if (ino !== this.#before.ino || size !== this.#before.size || mtimeMs !== this.#before.mtimeMs)
        throw new Error('it changed while it was read');
      for (let block = first; block < end; block++) {
        if (this.#read[block] === 1) continue;
        this.#fill(fd, block * BLOCK, Math.min(size, (block + 1) * BLOCK));
        this.#read[block] = 1;
      }
    });
  }

  #fill(fd: number, start: number, end: number): void {
    for (let at = start; at < end; ) {
      const count = readSync(fd, this.bytes, at, end - at, at);
      if (count === 0) throw new Error('it ends before its size');
      at += count;
    }
  }

  #withFile<T>(use: (fd: number) => T): T {
    const file = this.#file;
    try {
      const fd = openSync(file, 'r');
      try {
        return use(fd);
      } finally {
        closeSync(fd);
      }
    } catch (cause) {
      throw failure('file-unreadable', { file, reason: reasonOf(cause) }, { where: { file }, cause });
    }
  }
}
