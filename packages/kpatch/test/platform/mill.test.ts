/**
 * A machine that only this test knows goes through everything that looks at code: its record is registered, and nothing
 * else is touched. Both objects and the kernel are written here.
 */

import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { RunPre } from '#kpatch/builder/run-pre.ts';
import { makeArchSections } from '#kpatch/compat/klp-arch.ts';
import { diff } from '#kpatch/differ/diff.ts';
import type { DiffOptions } from '#kpatch/differ/options.ts';
import { SHF, STB, STT } from '#kpatch/formats/elf/constants.ts';
import { definedIn, type ElfObject } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { KernelImage } from '#kpatch/kernel/image.ts';
import { readKallsyms } from '#kpatch/kernel/kallsyms/kallsyms.ts';
import { type RunningCode, vmlinuxCode } from '#kpatch/kernel/running-code.ts';
import { unpackImage } from '#kpatch/kernel/unpack.ts';
import { makeLivepatchRelocations } from '#kpatch/module/make/klp.ts';
import { prepareParts } from '#kpatch/module/make/parts.ts';
import { takePlaces } from '#kpatch/module/make/places.ts';
import { newestKernel } from '#kpatch/platform/kernel-rules.ts';
import { architectureOf, platformNamed, platformOfImage, registerPlatform } from '#kpatch/platform/registry.ts';
import { kallsymsTables, layouts, type WrittenSymbol } from '../kernel/kallsyms-writer.ts';
import { provokes } from '../provoke.ts';
import { type Content, ObjectWriter, type Reference } from './loongarch64-object.ts';
import { mill, R_MILL } from './mill.ts';

const BASE = 0x4000_0000_0010_0000n;
const CODE = SHF.ALLOC | SHF.EXECINSTR;
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

/** A function after the eight bytes that ftrace uses, with its entry in the table of places. */
function func(writer: ObjectWriter, name: string, body: Content, local = false): void {
  const lead = Buffer.concat([Buffer.alloc(8), body.bytes]);
  const references = (body.references ?? []).map(([offset, ...rest]): Reference => [offset + 8, ...rest]);
  const section = writer.section(`.text.${name}`, { bytes: lead, references }, { flags: CODE });
  const bind = local ? STB.LOCAL : STB.GLOBAL;
  writer.symbol(name, section, { bind, type: STT.FUNC, value: 8, size: body.bytes.length });
  const place = { bytes: new Uint8Array(8), references: [[0, R_MILL.ADDRESS, `.text.${name}`]] as const };
  writer.section('__hooks', place, { flags: SHF.ALLOC | SHF.LINK_ORDER, link: section });
}

/** Loads a number, calls a static function that two files have and one of another file, and takes a variable's address. */
const count = (value: number): Content => ({
  bytes: bytes(`40 07 00 0${value} 10 000000 10 000000 50 06 0000000000000000 e0 00`),
  references: [
    [4, R_MILL.CALL24, 'helper'],
    [8, R_MILL.CALL24, 'report'],
    [14, R_MILL.ADDRESS, 'total', 4],
  ],
});

/** A jump over a jump label and an instruction, as the assembler writes it and as the kernel has it. */
const turn = bytes('20 000006  40 06 00 01  20 000004  40 07 00 02  e0 00');
const turned = bytes('a0 05  40 06 00 01  00 00 00 00  40 07 00 02  e0 00');

/** The file whose function changes. `value` is what `count` loads. */
function unit(value: number, body = turn): Uint8Array {
  const writer = new ObjectWriter({ littleEndian: false, machine: mill.machine, flags: 0 });
  writer.variable('total', bytes('0000000000000001 0000000000000002'));
  writer.variable('key', bytes('0000000000000000'));
  func(writer, 'helper', { bytes: bytes('40 07 00 05 e0 00') }, true);
  func(writer, 'count', count(value));
  func(writer, 'turn', { bytes: body });
  func(writer, 'steady', { bytes: bytes('40 05 00 09 e0 00') });
  const label: Reference[] = [
    [0, R_MILL.DISTANCE, '.text.turn', 16],
    [4, R_MILL.ADDRESS, 'key', 1],
    [12, R_MILL.DISTANCE, '.text.turn', 24],
  ];
  writer.section('__jump_table', { bytes: new Uint8Array(20), references: label }, { flags: SHF.ALLOC | SHF.WRITE });
  return writer.write();
}

/** Another file, with a `helper` of its own. */
function otherUnit(): Uint8Array {
  const writer = new ObjectWriter({ littleEndian: false, machine: mill.machine, flags: 0 });
  func(writer, 'helper', { bytes: bytes('40 07 00 06 e0 00') }, true);
  func(writer, 'report', {
    bytes: bytes('40 04 00 01 10 000000 e0 00'),
    references: [[4, R_MILL.CALL24, 'helper']],
  });
  return writer.write();
}

interface Linked {
  readonly memory: Buffer;
  readonly symbols: WrittenSymbol[];
}

/** Lays code and data of the objects out one after the other and fills in their relocations. */
function link(objects: readonly ElfObject[]): Linked {
  const sections = objects.flatMap((object) => object.sections).filter(({ name }) => /^\.(text|data)/.test(name));
  const places = new Map<unknown, number>();
  let top = 64;
  for (const section of sections) {
    places.set(section, top);
    top += Math.ceil(section.data.length / 16) * 16;
  }
  const memory = Buffer.alloc(top);
  memory.write('MILLTEXT');
  const symbols: WrittenSymbol[] = [{ name: '_text', type: 'T', address: BASE }];
  const globals = new Map<string, number>();
  for (const { name, bind, type, value, section } of objects.flatMap((object) => object.symbols)) {
    const place = places.get(section);
    if (place === undefined || name === '' || type === STT.SECTION) continue;
    if (bind !== STB.LOCAL) globals.set(name, place + value);
    const letter = type === STT.FUNC ? 't' : 'd';
    symbols.push({
      name,
      type: bind === STB.LOCAL ? letter : letter.toUpperCase(),
      address: BASE + BigInt(place + value),
    });
  }
  for (const section of sections) {
    const start = places.get(section)!;
    memory.set(section.data, start);
    for (const { offset, type, symbol, addend } of section.relocations) {
      const home = definedIn(symbol!);
      const target = (home === undefined ? globals.get(symbol!.name)! : places.get(home)! + symbol!.value) + addend;
      const at = start + offset;
      if (type === R_MILL.ADDRESS) memory.writeBigUInt64BE(BASE + BigInt(target), at);
      else memory.writeIntBE((target - at) / 2, at + 1, 3);
    }
  }
  symbols.sort((a, b) => (a.address < b.address ? -1 : 1));
  return { memory, symbols };
}

/** The kernel as it boots: a header, then its memory with the symbols after the code. */
function kernelImage(body = turned): Buffer {
  const { memory, symbols } = link([readObject(otherUnit(), 'b.o'), readObject(unit(3, body), 'a.o')]);
  const tables = kallsymsTables(symbols, { ...layouts['Linux 5.10']!, kind: 'relative' }, BASE, 'big');
  return Buffer.concat([Buffer.from('MILLBOOT'), Buffer.alloc(8), memory, tables]);
}

async function runningKernel(image = kernelImage()): Promise<RunningCode> {
  const vmlinux = new KernelImage(await unpackImage(image, 'millImage'), 'millImage');
  return vmlinuxCode(vmlinux, readKallsyms(vmlinux));
}

describe('a machine that only a test knows', () => {
  const registered = registerPlatform(mill);
  after(() => registered[Symbol.dispose]());

  it('boots: its image is unpacked, its symbols are found in its byte order', async () => {
    const image = kernelImage();
    assert.equal(platformOfImage(image), mill);
    const code = await runningKernel(image);
    assert.deepEqual(
      code.symbols('helper').map(({ sympos }) => sympos),
      [1, 2],
    );
    assert.equal(code.symbols('count')[0]!.sympos, 0);
    assert.ok(code.symbols('count')[0]!.address > BASE);
  });

  it('is matched against the running code: masked fields, branch forms, padding, jump labels', async () => {
    const runPre = new RunPre(readObject(unit(3), 'a.o'), await runningKernel(), newestKernel);
    const verdicts = ['helper', 'count', 'turn', 'steady'].map((name) => {
      const result = runPre.result(name);
      return result?.matched === true ? `${name} ${result.sympos} by ${result.by}` : `${name} ${result?.reason}`;
    });
    assert.deepEqual(verdicts, [
      'helper 2 by bytes',
      'count 0 by bytes',
      'turn 0 by instructions',
      'steady 0 by bytes',
    ]);
  });

  it('differs from other code: a constant, a callee, the bits beside a field, a branch', async () => {
    const changes: readonly (readonly [name: string, change: (memory: Buffer, at: number) => void])[] = [
      ['count', (memory, at) => void memory.writeUInt8(4, at + 3)],
      ['count', (memory, at) => void memory.writeIntBE(memory.readIntBE(at + 9, 3) + 4, at + 9, 3)],
      ['count', (memory, at) => void memory.writeUInt8(0x20, at + 8)],
      ['count', (memory, at) => void memory.writeUInt8(memory.readUInt8(at + 21) + 8, at + 21)],
      ['turn', (memory, at) => void memory.writeUInt8(7, at + 1)],
    ];
    const place = (await runningKernel()).symbols('count')[0]!.address;
    for (const [name, change] of changes) {
      const image = kernelImage();
      const address = (await runningKernel()).symbols(name)[0]!.address;
      change(image, 16 + Number(address - BASE));
      const result = new RunPre(readObject(unit(3), 'a.o'), await runningKernel(image), newestKernel).result(name);
      assert.equal(result?.matched === false && result.reason, 'differs', name);
    }
    assert.ok(place > BASE);
  });

  it('goes through differ and livepatch relocations, with its own types and byte order', async () => {
    const code = await runningKernel();
    const runPre = new RunPre(readObject(unit(3), 'a.o'), code, newestKernel);
    const local = { bind: 'local' } as const;
    const options: DiffOptions = {
      names: { original: 'a.o', patched: 'b.o' },
      object: 'vmlinux',
      kernel: { major: 6, minor: 1, config: () => undefined },
      exported: () => undefined,
      symbols: [
        { name: 'helper', kind: 'function', ...local },
        { name: 'report', kind: 'function', bind: 'global' },
        { name: 'helper', kind: 'function', ...local },
        { name: 'count', kind: 'function', bind: 'global' },
        { name: 'turn', kind: 'function', bind: 'global' },
        { name: 'steady', kind: 'function', bind: 'global' },
        { name: 'total', kind: 'object', ...local },
        { name: 'key', kind: 'object', ...local },
      ],
      resolve: ({ name }) => runPre.position(name),
    };
    assert.equal(diff(unit(3), unit(3), options).status, 'unchanged');
    const result = diff(unit(3), unit(4), options);
    assert.equal(result.architecture, 'Mill');
    assert.deepEqual(
      result.functions.map(({ kind, name }) => `${kind} ${name}`),
      ['changed count'],
    );
    const parts = prepareParts([result.patch()]);
    const module = readObject(parts.objects[0]!, 'part.o');
    assert.equal(module.littleEndian, false);
    makeLivepatchRelocations(module, takePlaces(module, parts.relocations), { major: 6, minor: 1 });
    const section = module.sections.find(({ name }) => name === '.klp.rela.vmlinux..text.count');
    assert.deepEqual(
      section?.relocations.map(({ type, symbol, addend }) => [type, symbol?.name, addend]),
      [
        [R_MILL.CALL24, '.klp.sym.vmlinux.helper,2', 0],
        [R_MILL.CALL24, '.klp.sym.vmlinux.report,0', 0],
        [R_MILL.ADDRESS, '.klp.sym.vmlinux.total,0', 4],
      ],
    );
    for (const { type } of section!.relocations) assert.ok(mill.loader!.relocations.has(type));
    makeArchSections(module);
  });

  it('is unknown again when it is taken out', async () => {
    const again = registerPlatform({ ...mill, machine: 0x4d4d, naming: { ...mill.naming, uname: 'mill65' } });
    assert.ok(platformNamed('uname', 'mill65'));
    again[Symbol.dispose]();
    assert.equal(platformNamed('uname', 'mill65'), undefined);
    // The other byte order is another machine.
    await provokes('elf-unsupported', () => architectureOf({ ...mill, file: 'a.o', littleEndian: true }));
  });
});
