/** All architectures, by the machine of the ELF header. */

import { fail } from '../base/errors/error.ts';
import { EM } from '../formats/elf/constants.ts';
import { aarch64 } from './arm64/machine.ts';
import { loongarch64 } from './loongarch64/machine.ts';
import type { Architecture } from './platform.ts';
import { ppc64le } from './ppc64le/machine.ts';
import { s390x } from './s390x/machine.ts';
import { x86_64 } from './x86_64/machine.ts';

export const architectures: readonly Architecture[] = [x86_64, ppc64le, s390x, aarch64, loongarch64];

const names: Readonly<Record<number, string>> = {
  [EM.PPC64]: 'ppc64',
  [EM.S390]: 's390',
  [EM.AARCH64]: 'aarch64',
  [EM.LOONGARCH]: 'loongarch',
};

/** The architecture of an object. Error: `elf-unsupported`, also for a byte order that the architecture does not use. */
export function architectureOf(object: { file: string; machine: number; littleEndian: boolean }): Architecture {
  const { file, machine, littleEndian } = object;
  const found = architectures.find((arch) => arch.machine === machine && arch.littleEndian === littleEndian);
  if (found !== undefined) return found;
  const order = littleEndian ? 'little endian' : 'big endian';
  const kind = `machine ${names[machine] ?? machine}, ${order}`;
  throw fail('elf-unsupported', { file, kind }, { where: { file, offset: 18 } });
}
