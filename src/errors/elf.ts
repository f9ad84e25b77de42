import { table } from './entry.ts';

/** Errors of the room `elf/`. */
export const elfErrors = table({});
