/** What went wrong with live patches since the machine booted, for reports: in `/run`, the last ones only. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { list, object, text } from '../../base/plain.ts';
import { attribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';

export interface LoadFailure {
  /** ISO 8601. */
  readonly at: string;
  readonly name: string;
  readonly sha256: string;
  /** Code of the error. */
  readonly code: string;
  readonly text: string;
}

/** No more are kept. */
const MOST = 20;

/** Remembers a failure. With a full or read-only `/run` it does nothing. */
export function recordFailure(machine: Machine, failure: Omit<LoadFailure, 'at'>): void {
  const all = [...loadFailures(machine), { at: machine.clock.date().toISOString(), ...failure }].slice(-MOST);
  try {
    mkdirSync(machine.run, { recursive: true, mode: 0o755 });
    writeAtomically(fileOf(machine), JSON.stringify(all));
  } catch {
    // see above
  }
}

/** The failures since the boot, oldest first. Never throws. */
export function loadFailures(machine: Machine): LoadFailure[] {
  try {
    return list(JSON.parse(attribute(fileOf(machine)) ?? '[]')).map((value) => {
      const one = object(value);
      const word = (name: string): string => text(one[name]) ?? '';
      return { at: word('at'), name: word('name'), sha256: word('sha256'), code: word('code'), text: word('text') };
    });
  } catch {
    return [];
  }
}

function fileOf({ run }: Machine): string {
  return join(run, 'failures.json');
}
