/** The headers by which a patch talks to kpatch (`include/kpatch/`), put where the patched source includes them from. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SourceOverlay } from './overlay.ts';
import type { SourcePatch } from './patch.ts';

/** The folder of the headers: in a checkout, or installed (`/usr/share/kpatch/include/kpatch`). */
function headersFolder(): string {
  const places = [join(import.meta.dirname, '../../include/kpatch'), join(import.meta.dirname, '../include/kpatch')];
  return places.find((place) => existsSync(place)) ?? places[0]!;
}

/** The headers by name, with their text. */
export function authorHeaders(): ReadonlyMap<string, string> {
  const folder = headersFolder();
  const names = readdirSync(folder).filter((name) => name.endsWith('.h'));
  return new Map(names.sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

/**
 * Puts the headers into the overlay's `include/`, which is on the include path of every file of the kernel, where one of
 * the patches includes them. No flag of the compiler changes, so objects that do not use them stay as they are.
 */
export function placeAuthorHeaders(overlay: SourceOverlay, patches: readonly SourcePatch[]): void {
  if (!patches.some(({ text }) => /^\+\s*#\s*include\s+["<]kpatch-/m.test(text))) return;
  for (const [name, text] of authorHeaders()) {
    const path = `include/${name}`;
    overlay.copy(path);
    rmSync(join(overlay.root, path), { force: true });
    writeFileSync(join(overlay.root, path), text);
  }
}
