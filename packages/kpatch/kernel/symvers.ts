/** `Module.symvers`: the exported symbols of a kernel with their CRCs (format: scripts/mod/modpost.c, write_dump). */
import { failure } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';

export interface SymversEntry {
  readonly name: string;
  /** CRC of the symbol's type (MODVERSIONS); 0 where the kernel has none. */
  readonly crc: number;
  /** `vmlinux`, or the module's path without `.ko`, as `drivers/net/tun`. */
  readonly module: string;
  /** `EXPORT_SYMBOL`, `EXPORT_SYMBOL_GPL`. */
  readonly exportType: string;
  /** Symbol namespace; undefined if the symbol is in none. */
  readonly namespace: string | undefined;
}

export type Symvers = ReadonlyMap<string, SymversEntry>;

/**
 * Parses the text. Lines are `crc TAB symbol TAB module TAB type [TAB namespace]`; before Linux 5.4 there was no namespace,
 * at first it stood before the module (moved last by commit 5190044c2965). Error: `kernel-symvers`.
 */
export function parseSymvers(text: string, file = 'Module.symvers'): Symvers {
  const symbols = new Map<string, SymversEntry>();
  let line = 0;
  for (const record of text.split('\n')) {
    line++;
    if (record === '') continue;
    const fields = record.split('\t');
    if (fields[4]?.startsWith('EXPORT_') === true) fields.push(...fields.splice(2, 1));
    const [crc = '', name = '', module = '', exportType = '', namespace = ''] = fields;
    if (!/^0x[0-9a-f]{1,8}$/.test(crc) || name === '' || module === '') {
      throw failure('kernel-symvers', { file, line }, { where: { file, line } });
    }
    symbols.set(name, {
      name,
      crc: Number(crc),
      module,
      exportType: exportType.trim(),
      namespace: namespace.trim() === '' ? undefined : namespace.trim(),
    });
  }
  return symbols;
}

/** Reads the file. Errors: `file-unreadable`, `kernel-symvers`. */
export function readSymvers(path: string): Symvers {
  return parseSymvers(readBytes(path).toString(), path);
}
