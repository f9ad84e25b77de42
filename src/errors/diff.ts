import { table } from './entry.ts';

/** Errors of the room `diff/`. */
export const diffErrors = table({});
