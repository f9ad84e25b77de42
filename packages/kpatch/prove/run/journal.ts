/**
 * The finished boots of a proof that has not ended yet. A proof that is interrupted (Ctrl-C, a reboot of the machine, a full
 * disk) goes on from them when the same proof is started again. Only boots in which every check held are recorded, for
 * a day; when the plan ends, the record is removed. So a proof that ran to its end starts from the beginning, and a failed boot runs again.
 *
 * The record decides what a proof says. It is therefore used only if it belongs to this user and nobody else can write to
 * it, and only for exactly the same input.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import type { DocumentOf } from '../../documents/form.ts';
import { keptText } from '../../documents/kept.ts';
import type { PlannedBoot } from './check.ts';
import type { BootRecord, CheckRecord } from './record.ts';

/** A boot whose checks all held. */
export interface FinishedBoot {
  readonly checks: readonly CheckRecord[];
  readonly boot: BootRecord;
  /** The store as a tar archive, if the boot installed the patch. */
  readonly store?: Uint8Array;
  /** What this boot and those before it found out about the stock kernel; see `RunInput`. */
  readonly exceptions: ReadonlyMap<string, string>;
  readonly stockComplaints: ReadonlySet<string>;
}

/** After this time an interrupted proof starts from the beginning. */
const LIFETIME_MS = 24 * 3600_000;

export class ProofJournal {
  readonly #folder: string;
  readonly #key: string;

  /** `key` identifies the input of the proof; see `journalOf` in journal-key.ts. */
  constructor(folder: string, key: string) {
    this.#folder = folder;
    this.#key = key;
  }

  #path(boot: string): string {
    return join(this.#folder, `${this.#key}-${boot}.json`);
  }

  /** The boot, if it has finished before. A record that cannot be used is removed. */
  finished(boot: string): FinishedBoot | undefined {
    const path = this.#path(boot);
    const text = ownText(path);
    if (text === undefined) return undefined;
    const entry = keptText('kpatch.finished-boot', text);
    // One from the future was made while the clock was wrong: nobody knows how old it is.
    if (entry === undefined || Math.abs(Date.now() - Date.parse(entry.made)) > LIFETIME_MS) {
      rmSync(path, { force: true });
      return undefined;
    }
    const { made, store, exceptions, stockComplaints } = entry;
    return {
      checks: entry.checks as CheckRecord[],
      boot: { ...(entry.boot as BootRecord), ran: made },
      ...(store === undefined ? {} : { store: Buffer.from(store, 'base64') }),
      exceptions: new Map(exceptions),
      stockComplaints: new Set(stockComplaints),
    };
  }

  /** Records a boot if all its checks held. A record that cannot be written is not an error: the boot runs again. */
  record({ checks, boot, store, exceptions, stockComplaints }: FinishedBoot): void {
    if (checks.some(({ outcome }) => outcome !== 'held')) return;
    const entry: DocumentOf<'kpatch.finished-boot'> = {
      made: boot.ran ?? new Date().toISOString(),
      checks: checks as DocumentOf<'kpatch.finished-boot'>['checks'],
      boot,
      ...(store === undefined ? {} : { store: Buffer.from(store).toString('base64') }),
      exceptions: [...exceptions],
      stockComplaints: [...stockComplaints],
    };
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      writeAtomically(this.#path(boot.boot), JSON.stringify(entry), 0o600);
    } catch {}
  }

  /** Removes the records of these boots: the plan has ended. */
  remove(boots: readonly PlannedBoot[]): void {
    for (const { id } of boots) rmSync(this.#path(id), { force: true });
  }
}

/** The text of a file that only this user can have written; otherwise undefined. */
function ownText(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch {
    return undefined;
  }
  try {
    const info = fstatSync(fd);
    const own = info.isFile() && info.uid === process.geteuid?.() && (info.mode & 0o022) === 0;
    return own ? readFileSync(fd, 'utf8') : undefined;
  } finally {
    closeSync(fd);
  }
}
