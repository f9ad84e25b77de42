import { table } from './entry.ts';

/** Errors of the room `kernel/`. */
export const kernelErrors = table({});
