import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { SHF, SHN, SHT, STB, STT } from '#kpatch/formats/elf/constants.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { modinfoValue, parseModinfo } from '#kpatch/formats/elf/modinfo.ts';
import { parseNotes } from '#kpatch/formats/elf/note.ts';
import { type ElfObject, newSection, newSymbol } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';
import { s390x } from '#kpatch/platform/s390x/machine.ts';
import { x86_64 } from '#kpatch/platform/x86_64/machine.ts';
import { provokes } from '../provoke.ts';

/** A small object with what the format can say: relocations, group, link order, common, absolute, livepatch symbols. */
function sample(littleEndian: boolean, machine: number): ElfObject {
  const text = newSection({
    name: '.text.f',
    flags: SHF.ALLOC | SHF.EXECINSTR,
    addralign: 16,
    data: new Uint8Array(32),
  });
  const data = newSection({
    name: '.data.x',
    flags: SHF.ALLOC | SHF.WRITE,
    addralign: 8,
    data: new Uint8Array([1, 2, 3]),
  });
  const bss = newSection({
    name: '.bss',
    type: SHT.NOBITS,
    flags: SHF.ALLOC | SHF.WRITE,
    addralign: 4,
    nobitsSize: 400,
  });
  const order = newSection({ name: '__order', flags: SHF.ALLOC | SHF.LINK_ORDER, link: text, data: new Uint8Array(8) });
  const f = newSymbol({ name: 'f', type: STT.FUNC, section: text, size: 32, other: 0x60 });
  const local = newSymbol({ name: 'x', bind: STB.LOCAL, type: STT.OBJECT, section: data, value: 1, size: 2 });
  const absolute = newSymbol({ name: '__crc_f', section: 'abs', value: 0xdeadbeef });
  const common = newSymbol({ name: 'shared', type: STT.OBJECT, section: 'common', value: 8, size: 16 });
  const klp = newSymbol({ name: '.klp.sym.vmlinux.g,0', section: SHN.LIVEPATCH });
  const undef = newSymbol({ name: 'elsewhere', bind: STB.WEAK });
  text.relocations.push(
    { offset: 4, type: 2, symbol: undef, addend: -4 },
    { offset: 8, type: 1, symbol: local, addend: 0x7fffffff },
    { offset: 16, type: 1, symbol: undefined, addend: -0x80000000 },
  );
  const group = newSection({ name: '.group', type: SHT.GROUP, entsize: 4, addralign: 4 });
  text.flags |= SHF.GROUP;
  group.group = { flags: 1, signature: f, members: [text] };
  const kept = newSection({
    name: '.klp.rela.vmlinux..text.f',
    type: SHT.RELA,
    flags: SHF.ALLOC | SHF.INFO_LINK | SHF.RELA_LIVEPATCH,
    addralign: 8,
    target: text,
    relocations: [{ offset: 20, type: 2, symbol: klp, addend: -4 }],
  });
  return {
    file: 'sample.o',
    littleEndian,
    machine,
    flags: 2,
    osabi: 0,
    sections: [group, text, data, bss, order, kept],
    symbols: [f, absolute, common, klp, undef, local],
  };
}

/** The graph as plain data, with names for references. */
function plain(object: ElfObject): object {
  const name = (symbol: { name: string } | undefined): string | undefined => symbol?.name;
  return {
    machine: object.machine,
    flags: object.flags,
    littleEndian: object.littleEndian,
    sections: object.sections.map(({ relocations, target, link, group, data, entsize, ...rest }) => ({
      ...rest,
      data: [...data],
      target: name(target),
      link: name(link),
      group: group && { flags: group.flags, signature: name(group.signature), members: group.members.map(name) },
      relocations: relocations.map(({ symbol, ...entry }) => ({ ...entry, symbol: name(symbol) })),
    })),
    symbols: object.symbols
      .map(({ section, ...rest }) => ({ ...rest, section: typeof section === 'object' ? section.name : section }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

for (const [littleEndian, machine, words] of [
  [true, x86_64.machine, 'little-endian'],
  [false, s390x.machine, 'big-endian'],
] as const) {
  test(`a ${words} object with every kind of section and symbol is the same after writing and reading`, () => {
    const object = sample(littleEndian, machine);
    const bytes = writeObject(object);
    const again = readObject(bytes, 'sample.o');
    assert.deepEqual(plain(again), plain(object));
    assert.deepEqual(writeObject(again), writeObject(readObject(writeObject(again), 'sample.o')));
    assert.deepEqual(bytes, writeObject(object));
  });
}

test('an object that gcc wrote passes through unchanged in the eyes of readelf and ld', () => {
  using folder = temporaryFolder('kpatch-elf-');
  const source = join(folder.path, 'a.c');
  writeFileSync(source, 'static int n = 3; int g(int); int f(int a) { return g(a) + n++; } const char *s = "text";');
  execFileSync('gcc', [
    '-O2',
    '-g',
    '-ffunction-sections',
    '-fdata-sections',
    '-c',
    '-o',
    join(folder.path, 'a.o'),
    source,
  ]);
  const bytes = readFileSync(join(folder.path, 'a.o'));
  writeFileSync(join(folder.path, 'b.o'), writeObject(readObject(bytes, 'a.o')));
  const link = (name: string): string => {
    execFileSync('ld', ['-r', '-o', join(folder.path, `${name}.r`), join(folder.path, `${name}.o`)]);
    return execFileSync('objdump', ['-drs', '-j', '.text.f', '-j', '.data', join(folder.path, `${name}.r`)]).toString();
  };
  assert.equal(link('b').replaceAll('b.r', 'a.r'), link('a'));
  const warnings = execFileSync('readelf', ['-aW', join(folder.path, 'b.o')], { stdio: ['ignore', 'pipe', 'pipe'] });
  assert.doesNotMatch(warnings.toString(), /[Ww]arning/);
});

test('more than 65,280 sections use extended indices', () => {
  const object = sample(true, x86_64.machine);
  for (let index = 0; index < 66_000; index++) object.sections.push(newSection({ name: '.s' }));
  const last = newSection({ name: '.last', data: new Uint8Array([7]) });
  object.sections.push(last);
  object.symbols.push(newSymbol({ name: 'in_last', section: last }));
  const again = readObject(writeObject(object), 'many.o');
  const symbol = again.symbols.find(({ name }) => name === 'in_last');
  assert.ok(typeof symbol?.section === 'object');
  assert.equal(symbol.section.name, '.last');
  assert.equal(again.symbols.find(({ name }) => name.startsWith('.klp.sym'))?.section, SHN.LIVEPATCH);
});

test('ElfFile reads an executable: segments, symbols with 64-bit values, notes and the build id', () => {
  using folder = temporaryFolder('kpatch-elf-');
  const source = join(folder.path, 'a.s');
  writeFileSync(source, '.globl _start\n.globl big\n.set big, 0xffffffff81000000\n_start: nop\n');
  const program = join(folder.path, 'a');
  execFileSync('gcc', ['-nostdlib', '-static', '-Wl,--build-id=0x0123456789abcdef', '-o', program, source]);
  const file = new ElfFile(readFileSync(program), 'a');
  assert.equal(file.buildId(), '0123456789abcdef');
  assert.equal(file.symbols().find(({ name }) => name === 'big')?.value, 0xffffffff81000000n);
  assert.ok(file.segments.length > 0);
  assert.equal(file.section('.text')?.size, 1);
});

test('modinfo and notes are read', () => {
  const fields = parseModinfo(Buffer.from('license=GPL\0\0parm=a:first=1\0odd\0name=x'));
  assert.deepEqual(
    fields.map(({ key }) => key),
    ['license', 'parm', 'odd', 'name'],
  );
  assert.equal(modinfoValue(fields, 'parm'), 'a:first=1');
  const note = Buffer.from('0500000003000000010000004c696e757800000001020300', 'hex');
  assert.deepEqual(
    parseNotes(note, true).map(({ name, type, desc }) => [name, type, [...desc]]),
    [['Linux', 1, [1, 2, 3]]],
  );
});

test('bad files are errors of the catalogue', async () => {
  const good = writeObject(sample(true, x86_64.machine));
  const changed = (offset: number, ...values: number[]): Uint8Array => {
    const copy = new Uint8Array(good);
    copy.set(values, offset);
    return copy;
  };
  await provokes('elf-not-elf', () => readObject(Buffer.from('#!/bin/sh\necho not an object\n'), 'x.sh'));
  await provokes('elf-not-elf', () => readObject(new Uint8Array(0), 'empty.o'));
  await provokes('elf-unsupported', () => readObject(changed(4, 1), 'x.o'));
  await provokes('elf-truncated', () => readObject(good.subarray(0, good.length - 10), 'x.o'));
  await provokes('elf-truncated', () => readObject(good.subarray(0, 40), 'x.o'));
  await provokes('elf-malformed', () => readObject(changed(58, 63), 'x.o'));
  await provokes('elf-not-relocatable', () => readObject(changed(16, 3), 'x.o'));
  const stripped = sample(true, x86_64.machine);
  const bytes = writeObject(stripped);
  const symtab = new ElfFile(bytes, 'x.o').sections.find(({ type }) => type === SHT.SYMTAB)!;
  const headers = new DataView(bytes.buffer).getUint32(40, true);
  bytes[headers + symtab.index * 64 + 4] = SHT.PROGBITS;
  await provokes('elf-no-symbols', () => readObject(bytes, 'x.o'));
  const dangling = sample(true, x86_64.machine);
  dangling.symbols.pop();
  await provokes('elf-unwritable', () => writeObject(dangling));
});
