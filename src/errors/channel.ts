import { table } from './entry.ts';

/** Errors of the room `channel/`. */
export const channelErrors = table({});
