/** Documents of every command: errors and the version. */
import * as v from 'valibot';
import { printed } from '../document.ts';
import { error } from '../parts.ts';

export const errorDocument = printed('kpatch.error/1', 'every command', 'A command failed.', { error });

export const versionDocument = printed('kpatch.version/1', 'version', 'The version of the program.', {
  version: v.string(),
});
