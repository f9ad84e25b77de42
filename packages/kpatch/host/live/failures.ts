/** What went wrong with live patches since the machine booted, for reports: in `/run`, the last ones only. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import type { DocumentOf } from '../../documents/form.ts';
import { keptText } from '../../documents/kept.ts';
import { attribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';

export type LoadFailure = DocumentOf<'kpatch.load-failures'>[number];

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
export function loadFailures(machine: Machine): readonly LoadFailure[] {
  return keptText('kpatch.load-failures', attribute(fileOf(machine)) ?? '') ?? [];
}

function fileOf({ run }: Machine): string {
  return join(run, 'failures.json');
}
