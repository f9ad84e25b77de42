import { table } from './entry.ts';

/** Errors of the room `build/`. */
export const buildErrors = table({});
