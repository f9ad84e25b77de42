/** Stores the decoded kernel symbol table in a file, because loading it is much faster than finding it again. */
import { failure } from '../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../base/files.ts';
import { Kallsyms } from './kallsyms.ts';

const MAGIC = 'kpatch kallsyms 1\n';

/**
 * Writes: a line with the magic, a line with number and length of the names, the names by lines, the types, padding,
 * addresses.
 */
export function writeKallsyms(path: string, kallsyms: Kallsyms): void {
  const { names, types, addresses } = kallsyms.raw();
  const text = Buffer.from(names.join('\n'), 'latin1');
  const head = `${MAGIC}${names.length} ${text.length}\n`;
  const padding = Buffer.alloc((8 - ((head.length + text.length + types.length) % 8)) % 8);
  const numbers = Buffer.from(addresses.buffer, addresses.byteOffset, addresses.byteLength);
  writeAtomically(path, Buffer.concat([Buffer.from(head), text, Buffer.from(types, 'latin1'), padding, numbers]));
}

/** Reads what `writeKallsyms` wrote. Errors: `file-unreadable`, `kernel-kallsyms` if it is damaged. */
export function loadKallsyms(path: string): Kallsyms {
  const bytes = readBytes(path);
  const damaged = (): Error => failure('kernel-kallsyms', { file: path, reason: 'the cached table is damaged' });
  const end = bytes.indexOf('\n', MAGIC.length);
  const match = /^(\d+) (\d+)$/.exec(bytes.toString('latin1', MAGIC.length, Math.max(end, MAGIC.length)));
  if (!bytes.toString('latin1', 0, MAGIC.length).startsWith(MAGIC) || match === null) throw damaged();
  const [count, length] = [Number(match[1]), Number(match[2])];
  const namesEnd = end + 1 + length;
  const start = (namesEnd + count + 7) & ~7;
  if (bytes.length !== start + 8 * count) throw damaged();
  const names = bytes.toString('latin1', end + 1, namesEnd).split('\n');
  if (names.length !== count) throw damaged();
  const addresses = new BigUint64Array(new Uint8Array(bytes.subarray(start)).buffer);
  return new Kallsyms(names, bytes.toString('latin1', namesEnd, namesEnd + count), addresses);
}
