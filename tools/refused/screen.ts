/** Which fixes may be refused, told by their text alone. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { changeOf } from '#kpatch/review/change.ts';
import { functionsIn } from '#kpatch/source/c-functions.ts';
import type { Fix } from '../corpus/fix.ts';

/** False for a fix that only changes bodies of ordinary functions, and for headers. It is no more than a guess, to save builds. */
export function mayBeRefused({ kind, files }: Fix, older: string, newer: string): boolean {
  // Of several files and of headers, most draws lack a part and do not compile.
  if (kind !== 'source file') return false;
  return files.some((file) => {
    const [before, after] = [older, newer].map((tree) => readFileSync(join(tree, file), 'latin1'));
    if (outside(before!) !== outside(after!)) return true;
    return changeOf([{ file, before: before!, after: after! }]).functions.some(
      (one) =>
        /\b(?:__init|__exit|noinstr|notrace)\b/.test(`${one.before?.head} ${one.after?.head}`) ||
        /\bstatic_(?:branch|call)\w*\b/.test(`${one.before?.body} ${one.after?.body}`),
    );
  });
}

/** What is no function, no comment, no macro, no declaration of a function and no include. */
function outside(text: string): string {
  let rest = '';
  let at = 0;
  for (const { start, end } of functionsIn(text)) {
    rest += text.slice(at, start);
    at = Math.max(at, end);
  }
  return (rest + text.slice(at))
    .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    .replace(/^#\s*(?:include|define|undef)(?:.*\\\n)*.*$/gm, '')
    .replace(/^[\w \t*]+\([^;{}]*\);/gm, '')
    .replace(/\s+/g, ' ')
    .trim();
}
