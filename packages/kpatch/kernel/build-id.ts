/** The build-id of a kernel whose image is its plain memory: it has no section headers, but symbols around its notes. */
import type { KernelImage } from './image.ts';
import type { Kallsyms } from './kallsyms/kallsyms.ts';

const NT_GNU_BUILD_ID = 3;

/** As `KernelImage.buildId`, else from the notes between `__start_notes` and `__stop_notes` (include/asm-generic/vmlinux.lds.h). */
export function buildIdOf(image: KernelImage, kallsyms: Kallsyms): string | undefined {
  if (image.buildId !== undefined) return image.buildId;
  const [start, stop] = ['__start_notes', '__stop_notes'].map((name) => kallsyms.lookup(name)[0]?.address);
  if (start === undefined || stop === undefined || stop <= start || stop - start > 0x10000n) return undefined;
  const notes = image.read(start, Number(stop - start));
  return notes === undefined ? undefined : buildIdIn(notes, image);
}

/** The first GNU build-id among notes: sizes of name and description, type; both parts fill up to four bytes (elf(5)). */
function buildIdIn(notes: Buffer, { order }: KernelImage): string | undefined {
  const padded = (size: number): number => (size + 3) & -4;
  for (let at = 0; at + 12 <= notes.length; ) {
    const [nameSize, size, type] = [order.u32(notes, at), order.u32(notes, at + 4), order.u32(notes, at + 8)];
    const description = at + 12 + padded(nameSize);
    const end = description + padded(size);
    if (end > notes.length) return undefined;
    const name = notes.toString('latin1', at + 12, at + 12 + nameSize);
    if (type === NT_GNU_BUILD_ID && name === 'GNU\0' && size > 0)
      return notes.toString('hex', description, description + size);
    at = end;
  }
  return undefined;
}
