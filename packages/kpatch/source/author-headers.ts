/** The headers by which a patch talks to kpatch (`include/kpatch/`), put where the patched source includes them from. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SourceOverlay } from '../kbuild/overlay.ts';
import { authorHeaders } from './author-header-files.ts';
import type { SourcePatch } from './patch.ts';

/**
 * Puts the headers into the overlay's `include/`, which is on the include path of every file of the kernel, where one of
 * the patches includes them. No flag of the compiler changes, so objects that do not use them stay as they are.
 */
export function placeAuthorHeaders(overlay: SourceOverlay, patches: readonly SourcePatch[]): void {
  const included = /^\+[ \t]*#[ \t]*include[ \t]+["<]kpatch-/;
  const added = patches.flatMap(({ files }) => files.flatMap(({ hunks }) => hunks.flatMap(({ lines }) => lines)));
  if (!added.some((line) => included.test(line))) return;
  for (const [name, text] of authorHeaders()) {
    const path = `include/${name}`;
    overlay.copy(path);
    rmSync(join(overlay.root, path), { force: true });
    writeFileSync(join(overlay.root, path), text);
  }
}
