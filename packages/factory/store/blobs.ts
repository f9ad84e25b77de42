/** The content-addressed store: a folder of files named by the SHA-256 of what they hold. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256, writeAtomically } from 'kpatch/parts';

export class Blobs {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Stores bytes and returns their digest; storing the same again does nothing. Errors: `disk-full`, `file-unwritable`. */
  put(bytes: Uint8Array | string): string {
    const digest = sha256(bytes);
    const path = this.pathOf(digest);
    if (existsSync(path)) return digest;
    mkdirSync(join(path, '..'), { recursive: true });
    writeAtomically(path, bytes);
    return digest;
  }

  /** The bytes; undefined if the store lacks them or they are damaged. */
  get(digest: string): Buffer | undefined {
    if (!/^[0-9a-f]{64}$/.test(digest)) return undefined;
    try {
      const bytes = readFileSync(this.pathOf(digest));
      return sha256(bytes) === digest ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  putJSON(value: unknown): string {
    return this.put(JSON.stringify(value));
  }

  getJSON<T>(digest: string | undefined): T | undefined {
    const bytes = digest === undefined ? undefined : this.get(digest);
    return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as T);
  }

  pathOf(digest: string): string {
    return join(this.#folder, digest.slice(0, 2), digest);
  }
}
