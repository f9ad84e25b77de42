/** Properties that hold for all objects, shown on a unit that uses every kind of section, for each target of the corpus. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { diff } from '#kpatch/differ/diff.ts';
import { SHF, STB, STT } from '#kpatch/formats/elf/constants.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { type ElfObject, newSymbol, type Relocation, type Section } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';
import { architectureOf } from '#kpatch/platform/registry.ts';
import { type Target, targets } from './corpus/targets.ts';
import { compile, functionsOf, optionsFor } from './fixture.ts';
import { numbers } from './fuzz.ts';
import { sampleSource } from './sample.ts';

const sample = (target: Target, variant = 0, shift = 0): Uint8Array =>
  compile(target, `${target.headers}\n${sampleSource(variant, shift)}`);

/** The sample after a change of its graph. */
function rewritten(bytes: Uint8Array, change: (object: ElfObject) => void): Uint8Array {
  const object = readObject(bytes, 'a.o');
  change(object);
  return writeObject(object);
}

function assertUnchanged(original: Uint8Array, patched: Uint8Array): void {
  const result = diff(original, patched, optionsFor(original));
  assert.deepEqual(functionsOf(result), []);
  assert.equal(result.status, 'unchanged');
}

for (const target of targets) {
  test(`${target.name}: a file does not differ from itself, nor from itself with shifted lines`, () => {
    assertUnchanged(sample(target), sample(target));
    assertUnchanged(sample(target), sample(target, 0, 7));
    assertUnchanged(sample(target, 0, 300), sample(target));
  });

  test(`${target.name}: other numbers in names change nothing`, () => {
    for (const downwards of [false, true]) {
      const renumbered = rewritten(sample(target), (object) => {
        const numbered = object.symbols.filter(({ name }) => /\.\d+$/.test(name));
        if (downwards) numbered.reverse();
        for (const [index, symbol] of numbered.entries())
          symbol.name = symbol.name.replace(/\d+$/, String(900 + index));
      });
      assertUnchanged(sample(target), renumbered);
    }
  });

  test(`${target.name}: another order of sections and symbols changes nothing`, () => {
    const reordered = rewritten(sample(target), (object) => {
      object.sections.reverse();
      const locals = object.symbols.filter(({ bind }) => bind === STB.LOCAL).reverse();
      object.symbols = [...locals, ...object.symbols.filter(({ bind }) => bind !== STB.LOCAL).reverse()];
    });
    assertUnchanged(sample(target), reordered);
  });

  test(`${target.name}: each changed byte of a function is found`, () => {
    const bytes = sample(target);
    const next = numbers(11);
    const object = new ElfFile(bytes, 'a.o');
    for (const section of object.sections) {
      if ((section.flags & SHF.EXECINSTR) === 0 || /^\.(?:init|exit)/.test(section.name)) continue;
      const stride = section.size > 64 ? 3 : 1;
      for (let at = next(stride); at < section.size; at += stride) {
        const changed = new Uint8Array(bytes);
        changed[section.offset + at]! ^= 1 << next(8);
        assert.notEqual(verdict(bytes, changed), 'unchanged', `${section.name}+0x${at.toString(16)}`);
      }
    }
  });

  test(`${target.name}: what is extracted is what the patched file has, reference by reference`, () => {
    for (const variant of [1, 2, 3, 4]) assertExtracted(target, sample(target), sample(target, variant));
  });
}

function verdict(original: Uint8Array, patched: Uint8Array): string {
  try {
    return diff(original, patched, optionsFor(original, { options: { keepLineChanges: true } })).status;
  } catch (error) {
    assert.ok(error instanceof KpatchError);
    return error.code;
  }
}

/** A function's bytes and what each relocation in it means, told without the differ. */
interface Meaning {
  readonly bytes: string;
  readonly references: readonly string[];
}

/** What is at a place: the string there, what the list of addresses has there, or the named thing and the distance from it. */
function placeIn(object: ElfObject, livepatch: Map<Section, Relocation[]>, section: Section, at: number): string {
  const { isLabel, addressList } = architectureOf(object);
  if (/\.str\d/.test(section.name)) {
    const end = section.data.indexOf(0, at);
    return `string ${Buffer.from(section.data.subarray(at, end)).toString('latin1')}`;
  }
  if (addressList?.(section.name) === true) {
    const all = [...section.relocations, ...(livepatch.get(section) ?? [])];
    const address = all.find(({ offset }) => offset === at);
    return `address of ${address === undefined ? 'nothing' : targetIn(object, livepatch, address, 0)}`;
  }
  const inside = object.symbols.filter(
    ({ section: home, type, value, name }) =>
      home === section && type !== STT.SECTION && value <= at && !isLabel(name) && name !== '',
  );
  const symbol = inside.sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1))[0];
  if (symbol === undefined) return `${section.name.replace(/\.\d+$/, '')}`;
  return `${symbol.name.replace(/\.\d+$/, '')}+${at - symbol.value}`;
}

function targetIn(
  object: ElfObject,
  livepatch: Map<Section, Relocation[]>,
  { symbol, addend }: Relocation,
  bias: number,
): string {
  const home = symbol?.section;
  if (typeof home === 'object') return placeIn(object, livepatch, home, symbol!.value + addend + bias);
  return `${symbol?.name.replace(/\.\d+$/, '')}+${addend + bias}`;
}

function meanings(bytes: Uint8Array): Map<string, Meaning> {
  const object = readObject(bytes, 'object.o');
  const arch = architectureOf(object);
  const livepatch = livepatchRelocations(object);
  const result = new Map<string, Meaning>();
  for (const { name, type, section, value, size } of object.symbols) {
    if (type !== STT.FUNC || typeof section !== 'object') continue;
    const references = [...section.relocations, ...(livepatch.get(section) ?? [])]
      .filter(({ offset }) => offset >= value && offset < value + size)
      .sort((a, b) => a.offset - b.offset || a.type - b.type)
      .map((relocation) => {
        const { form, bias } = arch.relocation(relocation.type)!;
        const target =
          form === 'none' ? '' : targetIn(object, livepatch, relocation, bias === 'instruction-end' ? 4 : bias);
        return `${relocation.offset - value} ${relocation.type} ${target}`;
      });
    const code = Buffer.from(section.data.subarray(value, value + size)).toString('hex');
    result.set(name, { bytes: code, references });
  }
  return result;
}

/** `.kpatch.relocations` as relocations of the sections they apply to, their targets as undefined symbols. */
function livepatchRelocations(object: ElfObject): Map<Section, Relocation[]> {
  const named = (name: string): Section => object.sections.find((section) => section.name === name)!;
  const result = new Map<Section, Relocation[]>();
  if (!object.sections.some(({ name }) => name === '.kpatch.relocations')) return result;
  const [table, symbols, strings] = [named('.kpatch.relocations'), named('.kpatch.symbols'), named('.kpatch.strings')];
  const pointer = (section: Section, offset: number): Relocation =>
    section.relocations.find((relocation) => relocation.offset === offset)!;
  const view = new DataView(table.data.buffer, table.data.byteOffset, table.data.length);
  for (let at = 0; at < table.data.length; at += 40) {
    const place = pointer(table, at);
    const text = pointer(symbols, pointer(table, at + 32).addend + 24).addend;
    const name = Buffer.from(strings.data.subarray(text, strings.data.indexOf(0, text))).toString('latin1');
    const home = place.symbol!.section as Section;
    const relocation = {
      offset: place.addend,
      type: view.getUint32(at + 8, object.littleEndian),
      symbol: newSymbol({ name }),
      addend: Number(view.getBigInt64(at + 16, object.littleEndian)),
    };
    result.set(home, [...(result.get(home) ?? []), relocation]);
  }
  return result;
}

function assertExtracted(target: Target, original: Uint8Array, patched: Uint8Array): void {
  const result = diff(original, patched, optionsFor(original));
  const names = result.functions.map(({ name }) => name);
  assert.ok(names.length > 0);
  const output = intermediateObject(result.patch());
  assert.deepEqual(
    intermediateObject(diff(original, patched, optionsFor(original)).patch()),
    output,
    'the same inputs give the same bytes',
  );
  const theirs = meanings(patched);
  // A copy on ppc64le, whose calls within the object cannot leave the module.
  const copies = result.travelling.filter(({ kind }) => kind === 'copy').map(({ name }) => name);
  const expected = (name: string): boolean =>
    names.includes(name.replace(/^__cfi_/, '')) || copies.includes(name) || /\.cold|^__s390_indirect_jump/.test(name);
  for (const ours of [meanings(output), meanings(linked(target, output))]) {
    for (const [name, meaning] of ours) {
      assert.ok(expected(name), `${name} travels without need`);
      assert.deepEqual(meaning, theirs.get(name), name);
    }
    for (const name of names) assert.ok(ours.has(name), name);
  }
}

/** What the linker of the architecture makes of an object, as for a module. */
function linked({ linker }: Target, bytes: Uint8Array): Uint8Array {
  using folder = temporaryFolder('kpatch-properties-');
  writeFileSync(join(folder.path, 'out.o'), bytes);
  execFileSync(linker, ['-r', '-o', 'linked.o', 'out.o'], { cwd: folder.path });
  return new Uint8Array(readFileSync(join(folder.path, 'linked.o')));
}
