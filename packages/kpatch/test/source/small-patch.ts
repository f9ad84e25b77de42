/** The smallest patches: of one line of a file whose lines are `line 1`, `line 2` and so on. */
import { parseSourcePatch, type SourcePatch } from '#kpatch/source/patch.ts';

export const parse = (text: string, name = 'fix.patch'): SourcePatch => parseSourcePatch(name, Buffer.from(text));
export const lines = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}\n`).join('');
/** A patch of one line of `fs/a.c`, whose lines are `line 1` to `line 30`. */
export const change = (at: number, to: string, file = 'fs/a.c', context = `line ${at - 1}`): string =>
  `--- a/${file}\n+++ b/${file}\n@@ -${at - 1},3 +${at - 1},3 @@\n ${context}\n-line ${at}\n+${to}\n line ${at + 1}\n`;
