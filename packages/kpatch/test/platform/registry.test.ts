/** The records of machines as a whole: what they say fits together, and the right one is found. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { KernelImage } from '#kpatch/kernel/image.ts';
import { readKallsyms } from '#kpatch/kernel/kallsyms/kallsyms.ts';
import { unpackImage } from '#kpatch/kernel/unpack.ts';
import { newestKernel } from '#kpatch/platform/kernel-rules.ts';
import { records } from '#kpatch/platform/records.ts';
import {
  architectureOf,
  namesOf,
  platformHere,
  platformNamed,
  platformOfConfig,
  platformOfImage,
  platforms,
  requirePlatform,
} from '#kpatch/platform/registry.ts';
import { linesOutside } from '../../../../tools/names.ts';
import { kallsymsTables, layouts } from '../kernel/kallsyms-writer.ts';
import { provokes } from '../provoke.ts';

test('each folder of platform/ but common/ is a machine, and no two have a name or number in common', () => {
  const folders = readdirSync(join(import.meta.dirname, '../../platform'), { withFileTypes: true });
  const machines = folders.filter((entry) => entry.isDirectory() && entry.name !== 'common');
  assert.equal(machines.length, platforms().length);
  for (const world of ['uname', 'deb', 'rpm'] as const) {
    assert.equal(new Set(namesOf(world)).size, platforms().length, world);
    for (const name of namesOf(world)) assert.equal(platformNamed(world, name)?.naming[world], name);
  }
  assert.equal(new Set(platforms().map(({ machine }) => machine)).size, platforms().length);
});

test('a machine is found by an object, a configuration and its own name', () => {
  for (const platform of platforms()) {
    const { machine, littleEndian, naming } = platform;
    assert.equal(architectureOf({ file: 'a.o', machine, littleEndian }), platform);
    assert.equal(
      platformOfConfig((option) => naming.options.includes(option)),
      platform,
    );
    assert.equal(requirePlatform('uname', naming.uname), platform);
  }
  assert.ok(platforms().includes(platformHere()));
  assert.equal(
    platformOfConfig((option) => option === 'RISCV'),
    undefined,
  );
});

test('a machine without a record is an error that names those that have one', async () => {
  const error = await provokes('platform-unknown', () => requirePlatform('uname', 'riscv64'));
  assert.match(error.message, /riscv64/);
});

test('what the module loader takes is among what the differ knows', () => {
  for (const { loader, relocation, name } of platforms()) {
    if (loader === undefined) continue;
    const taken = Array.from({ length: 1024 }, (_, type) => type).filter((type) => loader.relocations.has(type));
    for (const type of taken) assert.ok(relocation(type), `${name}: ${type}`);
    assert.ok(taken.length > 0, name);
  }
});

test('the fields of the loader that differ in size are types of the machine', () => {
  for (const { loader, relocation } of platforms()) {
    const names = Array.from({ length: 1024 }, (_, type) => relocation(type)?.name);
    for (const one of [...(loader?.fieldSizes?.none ?? []), ...(loader?.fieldSizes?.eight ?? [])])
      assert.ok(names.includes(one), one);
  }
});

test('every machine has jump labels and trace places among its tables', () => {
  for (const { specialSections, name } of platforms()) {
    const tables = specialSections(newestKernel);
    assert.ok(
      tables.some(({ key, size }) => key?.kind === 'jump label' && size !== undefined),
      name,
    );
    assert.ok(
      tables.some(({ trace }) => trace === true),
      name,
    );
  }
});

test('a machine needs one line outside of its own folder, and system call numbers where kpatch itself runs on it', () => {
  const lines = linesOutside('loongarch64');
  console.log(
    `loongarch64 needs outside of its folder: ${lines.map(({ place, text }) => `${place} ${text}`).join(', ')}`,
  );
  const files = lines.map(({ place }) => place.replace(/:\d+$/, ''));
  assert.deepEqual(files, ['packages/kpatch/platform/records.ts', 'packages/kpatch/sandbox/system-calls.ts']);
});

/** An Image of arm64: the kernel's memory from `_text` on, with the magic in its header and kallsyms inside. */
function flatImage(): Buffer {
  const base = 0xffff800008000000n;
  const symbols = Array.from({ length: 40 }, (_, i) => ({
    name: i === 0 ? '_text' : `function_${i}_0123456789`,
    type: 'T',
    address: base + BigInt(64 + i * 16) - (i === 0 ? 64n : 0n),
  }));
  const head = Buffer.alloc(4096, 0x1f);
  head.write('ARM\x64', 0x38, 'latin1');
  return Buffer.concat([head, kallsymsTables(symbols, { ...layouts['Linux 6.12']!, kind: 'relative' }, base)]);
}

test('a kernel that is only its memory becomes an ELF file at the address of its first symbol', async () => {
  const flat = flatImage();
  for (const file of [flat, gzipSync(flat)]) {
    const image = new KernelImage(await unpackImage(file, 'Image'), 'Image');
    assert.equal(image.platform.naming.uname, 'aarch64');
    assert.equal(readKallsyms(image).lookup('function_3_0123456789')[0]?.address, 0xffff800008000000n + 112n);
    assert.deepEqual(image.read(0xffff800008000038n, 4), Buffer.from('ARM\x64', 'latin1'));
    assert.equal(image.sectionAt(0xffff800008000000n)?.executable, true);
  }
  assert.equal(platformOfImage(flat)?.naming.uname, 'aarch64');
  // A guest of it is booted in its own emulator also if the image is packed.
  assert.equal(platformOfImage(gzipSync(flat))?.naming.uname, 'aarch64');
  for (const other of [gzipSync('no kernel'), gzipSync(gzipSync(flat)), gzipSync(flat).fill(0xff, 10)])
    assert.equal(platformOfImage(other), undefined);
});

test("a kernel packed in EFI's form is unpacked, and refused when it is cut short", async () => {
  const packed = gzipSync(flatImage());
  const head = Buffer.alloc(128);
  head.write('MZ\0\0zimg', 0, 'latin1');
  head.writeUInt32LE(head.length, 8);
  head.writeUInt32LE(packed.length, 12);
  head.writeUInt32LE(64, 0x3c);
  head.writeUInt16LE(0xaa64, 68);
  const efi = Buffer.concat([head, packed]);
  const image = new KernelImage(await unpackImage(efi, 'vmlinuz'), 'vmlinuz');
  assert.equal(readKallsyms(image).size, 40);
  await provokes('kernel-image-format', () => unpackImage(efi.subarray(0, 200), 'vmlinuz'));
});

test('pointers that the booting kernel fills in are read from their relocations', async () => {
  const base = 0xffff800008000000n;
  const whole = flatImage();
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(base);
  const slot = whole.indexOf(number);
  const zeroed = Buffer.from(whole);
  zeroed.fill(0, slot, slot + 8);
  const relocation = (place: bigint, type: bigint, value: bigint): Buffer => {
    const entry = Buffer.alloc(24);
    for (const [index, word] of [place, type, value].entries()) entry.writeBigUInt64LE(word, 8 * index);
    return entry;
  };
  const RELATIVE = 1027n;
  const others = [relocation(base + 0x40n, RELATIVE, base + 0x900n), relocation(base + BigInt(slot), 1n, base)];
  const own = relocation(base + BigInt(slot), RELATIVE, base);
  const image = new KernelImage(await unpackImage(Buffer.concat([zeroed, ...others, own]), 'Image'), 'Image');
  assert.equal(readKallsyms(image).lookup('function_3_0123456789')[0]?.address, base + 112n);
  // Without the relocation, or with two that fit, the place is not guessed.
  const twice = relocation(base + 0x20_0000n + BigInt(slot), RELATIVE, base + 0x20_0000n);
  for (const entries of [others, [...others, own, twice]])
    await provokes('kernel-kallsyms', () => unpackImage(Buffer.concat([zeroed, ...entries]), 'Image'));
});

/** Where the memory of all s390x kernels begins. */
const Z_START = 0x100000n;

/** A bzImage of s390x: a boot program, then the kernel's packed memory with kallsyms of these forms, and what else is in it. */
function zImage(kind: 'relative' | 'self', base: bigint, more: readonly Buffer[] = []): Buffer {
  const symbols = Array.from({ length: 40 }, (_, i) => ({
    name: `function_${i}_0123456789`,
    type: 'T',
    address: Z_START + BigInt(i * 16),
  }));
  const head = Buffer.alloc(4096, 0x07);
  const layout = { ...layouts[kind === 'self' ? 'Linux 7.2' : 'Linux 6.12']!, kind };
  const tables = kallsymsTables(symbols, layout, Z_START, 'big', Z_START + BigInt(head.length));
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(Z_START);
  if (kind === 'relative') tables.writeBigUInt64BE(base, tables.indexOf(number));
  const packed = execFileSync('xz', ['-c', '--check=crc32'], { input: Buffer.concat([head, tables, ...more]) });
  const program = Buffer.alloc(0x18000);
  program.write('S390EP', 0x10008, 'latin1');
  program.write('\xfd7zXZ\0\0\x04', 0x12346, 'latin1');
  return Buffer.concat([program, packed, Buffer.alloc(64)]);
}

test('a packed kernel of s390x is found behind the boot program, whatever that has in its code', async () => {
  // An entry of .rela.dyn whose place would fit if the memory began elsewhere.
  const chance = Buffer.alloc(24);
  for (const [i, word] of [0x200000n + 4096n, 12n, 0x200000n].entries()) chance.writeBigUInt64BE(word, 8 * i);
  for (const file of [
    zImage('relative', Z_START),
    zImage('relative', 0n),
    zImage('relative', 0n, [chance]),
    zImage('self', 0n),
  ]) {
    const image = new KernelImage(await unpackImage(file, 'vmlinuz'), 'vmlinuz');
    assert.equal(image.platform.naming.uname, 's390x');
    assert.equal(readKallsyms(image).lookup('function_3_0123456789')[0]?.address, Z_START + 48n);
    assert.deepEqual(image.read(Z_START, 2), Buffer.from([7, 7]));
  }
  await provokes('kernel-image-format', () => unpackImage(zImage('self', 0n).subarray(0, 0x18000), 'vmlinuz'));
});

test('the line of each machine says what its record says', () => {
  for (const { uname, machine, littleEndian, load } of records) {
    const record = load();
    assert.deepEqual(
      [uname, machine, littleEndian],
      [record.naming.uname, record.machine, record.littleEndian],
      record.name,
    );
  }
});

test('the program that has a resumed guest reseed is an executable of its machine', () => {
  for (const { emulator, machine, littleEndian } of platforms()) {
    const program = emulator.keep?.reseedProgram();
    if (program === undefined) continue;
    const view = new DataView(program.buffer, program.byteOffset, program.length);
    assert.equal(Buffer.from(program).toString('latin1', 0, 4), '\x7fELF');
    assert.equal(view.getUint16(18, littleEndian), machine);
    // What is behind the program header is the code, and all of it is loaded.
    assert.equal(view.getBigUint64(24, littleEndian) & 0xfffn, 120n);
    assert.equal(Number(view.getBigUint64(64 + 32, littleEndian)), program.length);
  }
});
