import { table } from './entry.ts';

/** Errors of the room `vm/`. */
export const vmErrors = table({});
