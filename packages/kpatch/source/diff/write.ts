/** Writes diffs for GNU patch: only what kpatch read, in one plain form, so that nothing else of the patch file has an effect. */
import type { PatchedFile } from './file.ts';

/** Unified diffs of these files for `patch -p0`, as bytes. The files have hunks, and are modified, created or removed. */
export function writeDiffs(files: readonly PatchedFile[]): Buffer {
  return Buffer.from(files.map(writeDiff).join(''), 'latin1');
}

function writeDiff({ path, kind, hunks }: PatchedFile): string {
  const name = quote(path);
  const head = `--- ${kind === 'create' ? '/dev/null' : name}\n+++ ${kind === 'delete' ? '/dev/null' : name}\n`;
  const parts = hunks.map(({ oldStart, oldLines, newStart, newLines, lines }) => {
    // Only with line 0 does GNU patch see that the file does not exist before or after.
    const from = kind === 'create' && oldLines === 0 ? 0 : oldStart;
    const to = kind === 'delete' && newLines === 0 ? 0 : newStart;
    return `@@ -${from},${oldLines} +${to},${newLines} @@\n${lines.map((line) => `${line}\n`).join('')}`;
  });
  return head + parts.join('');
}

/** A name in quotes as in C, its bytes one character each. */
function quote(path: string): string {
  const bytes = Buffer.from(path, 'utf8').toString('latin1');
  const escaped = bytes.replace(/["\\]|[^ -~]/g, (character) => {
    return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
  });
  return `"${escaped}"`;
}
