/**
 * Reads the system states that a patch declares with KPATCH_STATE (include/kpatch/kpatch-macros.h) from its compiled units.
 */

import { failure } from '../../base/errors/error.ts';
import type { ElfFile } from '../../formats/elf/file.ts';
import type { Manifest } from '../../module/manifest.ts';
import { has, type KernelRules } from '../../platform/kernel-rules.ts';

export const statesSection = '.kpatch.states';

/** A record: u64 id, u32 version, u32 that is 0. */
const RECORD = 16;

/** The section of one unit, as it is. */
export interface DeclaredStates {
  readonly unit: string;
  readonly data: Uint8Array;
  readonly littleEndian: boolean;
}

/** The section of one unit, compiled with the patch; empty if it declares no states. */
export function declaredStates(elf: ElfFile, unit: string): DeclaredStates[] {
  const section = elf.section(statesSection);
  return section === undefined ? [] : [{ unit, data: elf.data(section), littleEndian: elf.littleEndian }];
}

/** Reads the states of one unit. Error: `state-invalid`. */
export function readStates({ unit, data, littleEndian }: DeclaredStates): { id: number; version: number }[] {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const invalid = (problem: string): Error => failure('state-invalid', { unit, problem }, { where: { file: unit } });
  if (data.length % RECORD !== 0) throw invalid(`${data.length} bytes is not a multiple of the record size`);
  return Array.from({ length: data.length / RECORD }, (_, index) => {
    const id = view.getBigUint64(index * RECORD, littleEndian);
    const version = view.getUint32(index * RECORD + 8, littleEndian);
    if (id === 0n || id > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(`${id} is not a valid identifier`);
    return { id: Number(id), version };
  });
}

/**
 * The states of a patch, sorted by id. `kernel` is the version that it is for. Errors: `state-invalid` also where two units give a state different versions; `state-unsupported`.
 */
export function statesOf(
  declared: readonly DeclaredStates[],
  kernel: Pick<KernelRules, 'major' | 'minor' | 'target'>,
): Manifest['states'] {
  const states = new Map<number, number>();
  for (const section of declared) {
    const { unit } = section;
    for (const { id, version } of readStates(section)) {
      const known = states.get(id);
      if (known !== undefined && known !== version) {
        const problem = `it gives state ${id} version ${version}, but another unit gives it version ${known}`;
        throw failure('state-invalid', { unit, problem }, { where: { file: unit } });
      }
      states.set(id, version);
    }
  }
  const { major, minor } = kernel;
  if (states.size > 0 && !has(kernel, 'states')) {
    throw failure('state-unsupported', { kernel: `${major}.${minor}` });
  }
  return [...states].map(([id, version]) => ({ id, version })).sort((a, b) => a.id - b.id);
}
