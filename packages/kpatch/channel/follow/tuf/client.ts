/** What a machine that follows by TUF remembers besides the metadata: `/var/lib/kpatch/channel/client.json`. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeAtomically } from '../../../base/files.ts';
import { readJSON } from '../../../base/plain.ts';
import { storedDocument } from '../../../documents/form.ts';

/** A module that came from the channel. */
export interface Delivered {
  readonly release: string;
  readonly name: string;
  /** `VERSION-RELEASE`. */
  readonly version: string;
  readonly sha256: string;
}

export interface Client {
  /** Kernels that are subscribed by name, for mode `manual`. */
  readonly subscribed: readonly string[];
  readonly delivered: readonly Delivered[];
  /** Latest time that this machine can be sure of, ISO 8601 UTC (see `clock.ts`). */
  readonly seen?: string;
}

const file = (base: string): string => join(base, 'client.json');

/** Reads it; a missing or damaged file is as if nothing was subscribed or delivered. */
export function readClient(base: string): Client {
  try {
    if (!existsSync(file(base))) return { subscribed: [], delivered: [] };
    const { subscribed, delivered, seen } = storedDocument('kpatch.tuf-client/1', readJSON(file(base)));
    return { subscribed, delivered, ...(seen === undefined ? {} : { seen }) };
  } catch {
    return { subscribed: [], delivered: [] };
  }
}

/** Writes it. Errors: `disk-full`, `file-unwritable`. */
export function writeClient(base: string, client: Client): void {
  mkdirSync(dirname(file(base)), { recursive: true });
  writeAtomically(file(base), `${JSON.stringify({ schema: 'kpatch.tuf-client/1', ...client }, null, 1)}\n`);
}
