import { table } from './entry.ts';

/** Errors of the room `host/`. */
export const hostErrors = table({});
