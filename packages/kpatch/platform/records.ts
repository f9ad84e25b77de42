/** The machines that kpatch knows, a line each. A new machine's line is all that it needs outside of its own folder. */
export { aarch64 } from './arm64/machine.ts';
export { loongarch64 } from './loongarch64/machine.ts';
export { ppc64le } from './ppc64le/machine.ts';
export { s390x } from './s390x/machine.ts';
export { x86_64 } from './x86_64/machine.ts';
