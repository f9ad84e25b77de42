/** Parsers of binary formats: ELF and what is in it, archives, signatures, kernel images. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { readStates } from '#kpatch/builder/rules/states.ts';
import { readCms } from '#kpatch/formats/cms.ts';
import { lineTableOf } from '#kpatch/formats/dwarf/line-table.ts';
import { readDwarfTypes } from '#kpatch/formats/dwarf/types.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { parseModinfo } from '#kpatch/formats/elf/modinfo.ts';
import { parseNotes } from '#kpatch/formats/elf/note.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { decodeLz4Legacy } from '#kpatch/formats/lz4.ts';
import { readTar } from '#kpatch/formats/tar.ts';
import { KernelImage } from '#kpatch/kernel/image.ts';
import { Kallsyms, readKallsyms } from '#kpatch/kernel/kallsyms/kallsyms.ts';
import { loadKallsyms, writeKallsyms } from '#kpatch/kernel/kallsyms/kallsyms-file.ts';
import { readCallbacks, readKernelRelocations, readPatchedFunctions } from '#kpatch/module/intermediate.ts';
import { readManifest } from '#kpatch/module/manifest.ts';
import { certificateOf, readSignature } from '#kpatch/module/signature.ts';
import { layouts } from '../kernel/kallsyms-writer.ts';
import { compile, madeModule } from '../module/made-module.ts';
import type { Target } from './driver.ts';
import { asFile } from './files.ts';
import { kernelImage } from './kernel-image.ts';
import { signedModule } from './signed.ts';

const withDebug = (): Uint8Array =>
  compile(
    'struct a { int b : 3; struct a *next; union { long c; char d[4]; }; };\nint f(struct a *x) { return x->b; }\n',
    ['-g'],
  );

/** A tar archive of one small file: a ustar header (POSIX.1), the content, two empty blocks. */
function tar(size: number): Buffer {
  const head = Buffer.alloc(512);
  head.write('folder/file', 0);
  head.write('0000644\x000000000\x000000000\x00', 100);
  head.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  head.write('00000000000\0        0', 136);
  head.write('ustar\x0000', 257);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([head, Buffer.alloc(Math.ceil(size / 512) * 512, 'x'), Buffer.alloc(1024)]);
}

/** Literals only, in the legacy frame that kernels use. */
function lz4(): Buffer {
  const block = Buffer.concat([
    Buffer.from([0x50]),
    Buffer.from('hello'),
    Buffer.from([0x10, 0x61, 0x01, 0x00, 0x20, 0x62, 0x63]),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(block.length);
  return Buffer.concat([Buffer.from([0x02, 0x21, 0x4c, 0x18]), length, block]);
}

function kallsymsFile(): Buffer {
  using folder = temporaryFolder('kpatch-fuzz-');
  const path = join(folder.path, 'k');
  writeKallsyms(path, new Kallsyms(['a', 'b', 'c'], 'tTd', BigUint64Array.from([1n, 2n, 3n])));
  return readFileSync(path);
}

/** For a reader whose documented error its only caller turns into one of the catalogue. */
export function damaged(kind: new (...all: never[]) => Error, read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (error instanceof kind) return undefined;
    throw error;
  }
}

export const binaryTargets: readonly Target[] = [
  {
    name: 'ELF file',
    seeds: () => [madeModule(), withDebug()],
    read(bytes) {
      const elf = new ElfFile(bytes, 'a.ko');
      for (const section of elf.sections) elf.data(section);
      return [...elf.symbols()];
    },
  },
  { name: 'ELF object', seeds: () => [madeModule(), withDebug()], read: (bytes) => readObject(bytes, 'a.o') },
  {
    name: 'DWARF types',
    seeds: () => [withDebug()],
    read: (bytes) => readDwarfTypes(new ElfFile(bytes, 'a.o')),
  },
  {
    name: 'DWARF lines',
    seeds: () => [withDebug()],
    read(bytes) {
      const object = readObject(bytes, 'a.o');
      const table = lineTableOf(object);
      return object.sections.map((section) => table.at(section, 4));
    },
  },
  {
    name: 'modinfo',
    seeds: () => ['name=a\0livepatch=Y\0\0vermagic=1 SMP\0'],
    words: ['\0', '=', 'vermagic='],
    read: (bytes) => parseModinfo(bytes),
    long: (bytes) => 'name=value\0'.repeat(bytes / 11),
  },
  {
    name: 'ELF notes',
    seeds: () => [Buffer.from('0400000004000000030000004742550061626364', 'hex')],
    read: (bytes) => parseNotes(bytes, true),
    long: (bytes) => Buffer.alloc(bytes, Buffer.from('0400000004000000030000004742550061626364', 'hex')),
  },
  { name: 'manifest in a module', seeds: () => [madeModule()], read: (bytes) => readManifest(bytes, 'a.ko') },
  {
    name: 'intermediate object',
    seeds: () => [madeModule()],
    read(bytes) {
      const object = readObject(bytes, 'a.o');
      return [readKernelRelocations(object), readPatchedFunctions(object), readCallbacks(object)];
    },
  },
  {
    name: 'declared states',
    seeds: () => [Buffer.alloc(24, 1)],
    read: (data) => readStates({ unit: 'a.o', data, littleEndian: true }),
    long: (bytes) => Buffer.alloc(bytes, 1),
  },
  { name: 'tar', seeds: () => [tar(5), tar(0)], read: (bytes) => readTar(bytes), long: (bytes) => tar(bytes) },
  { name: 'lz4', seeds: () => [lz4()], read: (bytes) => damaged(RangeError, () => decodeLz4Legacy(bytes, 1 << 20)) },
  {
    name: 'module signature',
    seeds: () => [signedModule()],
    words: ['~Module signature appended~\n'],
    read: (bytes) => readSignature(bytes, 'a.ko'),
  },
  { name: 'CMS', seeds: () => [readSignature(signedModule())!.message], read: (bytes) => readCms(bytes) },
  {
    name: 'certificate',
    seeds: () => ['-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'],
    read: (bytes) => certificateOf(bytes, 'a.pem'),
  },
  { name: 'cached kallsyms', seeds: () => [kallsymsFile()], read: asFile('k', (_, file) => loadKallsyms(file)) },
  {
    name: 'kallsyms in an image',
    seeds: () => Object.values(layouts).map((layout) => kernelImage(layout)),
    read: (bytes) => [...readKallsyms(new KernelImage(bytes, 'vmlinux'))],
  },
];
