/** A kernel of a few functions, made by the test: C compiled on the spot, linked high, with kallsyms inside, packed as a bzImage. */
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { ElfObject } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { kallsymsTables, type Layout, layouts, type WrittenSymbol } from './kallsyms-writer.ts';

/** A machine whose kernel is made: the prefix of its compiler and binutils, its own flags, and where its kernel lies. */
export interface FakeMachine {
  readonly prefix: string;
  readonly compiler: string;
  /** Linker, where it is not that of the binutils. */
  readonly linker?: string;
  readonly flags: readonly string[];
  readonly base: bigint;
  readonly order: 'little' | 'big';
}

const here: FakeMachine = {
  prefix: '',
  compiler: 'gcc',
  flags: ['-mcmodel=kernel', '-mno-red-zone', '-fcf-protection=none'],
  base: 0xffffffff81000000n,
  order: 'little',
};

const flags = ['-O2', '-ffreestanding', '-fno-pic', '-fno-asynchronous-unwind-tables', '-fno-stack-protector', '-w'];

const scriptAt = (base: bigint): string => `SECTIONS {
  . = 0x${base.toString(16)};
  .text : { _text = .; *(.text .text.*) _etext = .; }
  . = ALIGN(4096); .rodata : { *(.rodata .rodata.*) }
  .notes : { *(.note.gnu.build-id) }
  . = ALIGN(4096); .data : { *(.data .data.*) *(.bss .bss.*) *(COMMON) }
  .got : ALIGN(256) { *(.got) *(.toc) }
  .got.plt : { *(.got.plt) }
  .plt : { *(.plt .iplt .igot .igot.plt) }
  .rela.dyn : { *(.rela.*) }
  . = ALIGN(4096); .kallsyms : { KEEP(*(.kallsyms)) }
  /DISCARD/ : { *(.comment) *(.note.GNU-stack) *(.eh_frame) }
}`;

/** Compiles C to an object; more options as a kernel build would give them. */
export function compile(
  folder: string,
  name: string,
  source: string,
  options: readonly string[] = [],
  machine = here,
): string {
  const path = join(folder, `${name}.o`);
  writeFileSync(join(folder, `${name}.c`), source);
  const whole = machine.compiler.startsWith('clang') ? [] : ['-fno-ipa-icf']; // equal functions stay two
  const all = [...flags, ...whole, ...machine.flags, ...options];
  const silently: ExecFileSyncOptions = { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] };
  execFileSync(`${machine.prefix}${machine.compiler}`, [...all, '-c', '-o', path, `${name}.c`], silently);
  return path;
}

export function readCompiled(path: string): ElfObject {
  return readObject(readFileSync(path), path);
}

/** Symbols of a linked file as kallsyms has them, by nm: without those of sections that are not loaded. */
function symbolsOf(path: string, { prefix, base }: FakeMachine): WrittenSymbol[] {
  const lines = execFileSync(`${prefix}nm`, ['-n', path]).toString().split('\n');
  const all = lines.flatMap((line) => {
    const [address, type, name] = line.split(' ');
    return name === undefined ? [] : [{ address: BigInt(`0x${address}`), type: type!, name }];
  });
  return all.filter(({ address }) => address >= base);
}

/** Links objects to a vmlinux without symbol table, with kallsyms; gives its bytes. */
export function linkKernel(
  folder: string,
  objects: readonly string[],
  layout: Layout = layouts['Linux 6.12']!,
  machine = here,
): Buffer {
  const { prefix, base, order } = machine;
  writeFileSync(join(folder, 'kernel.lds'), scriptAt(base));
  const vmlinux = join(folder, 'vmlinux');
  const linker = machine.linker ?? `${prefix}ld`;
  const quiet = machine.linker === undefined ? ['--no-warn-rwx-segments'] : [];
  const link = (extra: readonly string[]): void =>
    void execFileSync(
      linker,
      ['--build-id=sha1', '-z', 'noexecstack', ...quiet, '-T', 'kernel.lds', '-o', vmlinux, ...objects, ...extra],
      { cwd: folder },
    );
  link([]);
  writeFileSync(join(folder, 'kallsyms.bin'), kallsymsTables(symbolsOf(vmlinux, machine), layout, base, order));
  writeFileSync(join(folder, 'kallsyms.s'), '.section .kallsyms,"a"\n.balign 8\n.incbin "kallsyms.bin"\n');
  const assemble = [...machine.flags, '-c', '-o', 'kallsyms.o', 'kallsyms.s'];
  execFileSync(`${prefix}${machine.compiler}`, assemble, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  link(['kallsyms.o', '-s']);
  return readFileSync(vmlinux);
}

const packers: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => gzipSync(bytes),
  zstd: (bytes) => zstdCompressSync(bytes),
  xz: (bytes) =>
    execFileSync('xz', ['-c', '--check=crc32', '--x86', '--lzma2=dict=1MiB'], { input: bytes, maxBuffer: 1 << 28 }),
  bzip2: (bytes) => execFileSync('bzip2', ['-c'], { input: bytes, maxBuffer: 1 << 28 }),
  lzma: (bytes) => execFileSync('xz', ['-c', '--format=lzma'], { input: bytes, maxBuffer: 1 << 28 }),
  lz4: lz4Literals,
};

export const packings = Object.keys(packers);

/** LZ4 in the legacy frame, of literals and one long match of zeros: enough to unpack. */
function lz4Literals(bytes: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from([0x02, 0x21, 0x4c, 0x18])];
  for (let at = 0; at < bytes.length; at += 8 << 20) {
    const chunk = bytes.subarray(at, at + (8 << 20));
    const rest = chunk.length - 15;
    const length = Buffer.from([0xf0, ...Array<number>(Math.floor(rest / 255)).fill(255), rest % 255]);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(length.length + chunk.length);
    parts.push(size, length, chunk);
  }
  return Buffer.concat(parts);
}

/** A bzImage (boot protocol 2.15) around a packed vmlinux; the unpacked size follows the stream as the kernel's build appends it. */
export function bzImage(vmlinux: Buffer, packing: string): Buffer {
  const stream = packers[packing]!(vmlinux);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(vmlinux.length);
  const payload = packing === 'gzip' ? stream : Buffer.concat([stream, size]);
  const setupSectors = 3;
  const before = 100; // code of the decompressor
  const head = Buffer.alloc((setupSectors + 1) * 512 + before);
  head[0x1f1] = setupSectors;
  head.write('HdrS', 0x202);
  head.writeUInt16LE(0x020f, 0x206);
  head.writeUInt32LE(before, 0x248);
  head.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([head, payload, Buffer.alloc(64)]);
}
