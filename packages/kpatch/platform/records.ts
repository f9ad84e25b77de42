/**
 * The machines that kpatch knows, a line each. A new machine's line is all that it needs outside of its own folder. A record is loaded
 * when its machine is first needed: create-diff-object, which build scripts start for each object, needs one.
 */
import { createRequire } from 'node:module';
import type { Platform } from './platform.ts';

export interface MachineLine {
  readonly folder: string;
  /** Like `uname -m`, as its record has it: hosts compare names and need no record. */
  readonly uname: string;
  /** `EM` and byte order of its objects, as its record has them. */
  readonly machine: number;
  readonly littleEndian: boolean;
  readonly load: () => Platform;
}

// The bundler takes this line out and follows the calls (tools/packages/executable.ts).
const require = createRequire(import.meta.url);

const line = (
  folder: string,
  uname: string,
  machine: number,
  littleEndian: boolean,
  load: () => Platform,
): MachineLine => {
  let loaded: Platform | undefined;
  return {
    folder,
    uname,
    machine,
    littleEndian,
    load() {
      loaded ??= load();
      return loaded;
    },
  };
};

export const records: readonly MachineLine[] = [
  line('arm64', 'aarch64', 183, true, () => require('./arm64/machine.ts').aarch64),
  line('loongarch64', 'loongarch64', 258, true, () => require('./loongarch64/machine.ts').loongarch64),
  line('ppc64le', 'ppc64le', 21, true, () => require('./ppc64le/machine.ts').ppc64le),
  line('s390x', 's390x', 22, false, () => require('./s390x/machine.ts').s390x),
  line('x86_64', 'x86_64', 62, true, () => require('./x86_64/machine.ts').x86_64),
];
