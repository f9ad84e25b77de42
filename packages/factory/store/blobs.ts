/** The content-addressed store: results named by the SHA-256 of what they hold, in a folder or at a coordinator (remote.ts). */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure, sha256, writeAtomically } from 'kpatch/parts';

export const isDigest = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);

export abstract class Blobs {
  /** Where it is, for messages. */
  abstract readonly place: string;

  /** Stores bytes and returns their digest; storing the same again does nothing. */
  abstract put(bytes: Uint8Array | string): Promise<string>;

  /** The bytes; undefined if the store lacks them or they are damaged. */
  abstract get(digest: string): Promise<Buffer | undefined>;

  /** Writes what the digest names to a file. Error: `factory-store` if the store lacks it. */
  async copy(digest: string, file: string): Promise<void> {
    const bytes = await this.get(digest);
    if (bytes === undefined)
      throw failure('factory-store', { store: this.place, problem: `it has no intact ${digest.slice(0, 12)}` });
    writeAtomically(file, bytes);
  }
}

/** A folder of files. */
export class FolderBlobs extends Blobs {
  readonly place: string;

  constructor(folder: string) {
    super();
    this.place = folder;
  }

  /** Errors: `disk-full`, `file-unwritable`. */
  async put(bytes: Uint8Array | string): Promise<string> {
    const digest = sha256(bytes);
    // A damaged file is written again.
    if (existsSync(this.pathOf(digest)) && (await this.get(digest)) !== undefined) return digest;
    mkdirSync(join(this.pathOf(digest), '..'), { recursive: true });
    writeAtomically(this.pathOf(digest), bytes);
    return digest;
  }

  async get(digest: string): Promise<Buffer | undefined> {
    if (!isDigest(digest)) return undefined;
    try {
      const bytes = readFileSync(this.pathOf(digest));
      return sha256(bytes) === digest ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  pathOf(digest: string): string {
    return join(this.place, digest.slice(0, 2), digest);
  }
}
