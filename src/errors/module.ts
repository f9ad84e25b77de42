import { table } from './entry.ts';

/** Errors of the room `module/`. */
export const moduleErrors = table({});
