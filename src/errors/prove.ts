import { table } from './entry.ts';

/** Errors of the room `prove/`. */
export const proveErrors = table({});
