/** Intermediate sections, written in C as dynup/kpatch lays them out, become what the kernel reads. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createKlpModule } from '#kpatch/compat/create-klp-module.ts';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import type { UnitPatch } from '#kpatch/differ/patch.ts';
import { STB } from '#kpatch/formats/elf/constants.ts';
import type { ElfObject, Section } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { readCallbacks, readKernelRelocations, readPatchedFunctions } from '#kpatch/module/intermediate.ts';
import { makeLivepatchRelocations, SHF_RELA_LIVEPATCH, SHN_LIVEPATCH } from '#kpatch/module/make/klp.ts';
import { linkModule } from '#kpatch/module/make/link.ts';
import { prepareParts } from '#kpatch/module/make/parts.ts';
import { takePlaces } from '#kpatch/module/make/places.ts';
import { replacedFunctions } from '#kpatch/module/tables.ts';
import { differ } from '../differ/fixture.ts';
import { provokes } from '../provoke.ts';
import { compile } from './made-module.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-klp-test-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Types and strings that the sources below share. `S("x")` is a string in `.kpatch.strings`. */
const prelude = `
#define IN(name) __attribute__((section(name), used))
#define S(text) ({ static char one[] IN(".kpatch.strings") = text; one; })
struct symbol { unsigned long src, pos; unsigned char bind, type; char *name, *object; };
struct relocation { void *dest; unsigned type; int external; long addend; char *object; struct symbol *symbol; };
struct function { void *new_address; unsigned long new_size, old_address, old_size, sympos; char *name, *object; };
struct callback { void *call; char *object; };
struct arch { void *section; char *object; };
static char vmlinux[] IN(".kpatch.strings") = "vmlinux";
static char tun[] IN(".kpatch.strings") = "tun";
static char hidden[] IN(".kpatch.strings") = "hidden";
static char data[] IN(".kpatch.strings") = "per_cpu_data";
static char replaced[] IN(".kpatch.strings") = "replaced";
`;

interface Entry {
  readonly name?: string;
  readonly symbolObject?: string;
  readonly object?: string;
  readonly more?: string;
}

/** A module with two livepatch relocations, one of them for a module. */
function intermediate({
  name = 'hidden',
  symbolObject = 'vmlinux',
  object = 'vmlinux',
  more = '',
}: Entry = {}): Uint8Array {
  return compile(`${prelude}
int changed(void) { return 1; }
int other(void) { return 2; }
struct symbol symbols[] IN(".kpatch.symbols") = { { 0, 2, 0, 2, ${name}, ${symbolObject} }, { 0, 0, 1, 1, data, tun } };
struct relocation relocations[] IN(".kpatch.relocations") = {
  { (char *)changed + 1, 4, 0, -4, ${object}, &symbols[0] },
  { (char *)other + 1, 2, 0, 0x7fff00000000, tun, &symbols[1] },
};
struct function functions[] IN(".kpatch.funcs") = { { changed, 6, 0, 6, 3, replaced, vmlinux } };
${more}`);
}

const section = (object: ElfObject, name: string): Section => {
  const found = object.sections.find((one) => one.name === name);
  assert.ok(found !== undefined, `${name} among ${object.sections.map((one) => one.name).join(' ')}`);
  return found;
};

const v61 = { major: 6, minor: 1 };

/** The intermediate object as plain data, as the differ hands it over. */
function patchOf(bytes: Uint8Array, object = 'vmlinux'): UnitPatch {
  const elf = readObject(bytes, 'part.o');
  const functions = readPatchedFunctions(elf).map(({ name, sympos, replacement: symbol }) => {
    return { name, sympos, symbol, oldAddress: 0n, oldSize: 0, newSize: 0 };
  });
  return { object, elf, functions, relocations: readKernelRelocations(elf), callbacks: readCallbacks(elf) };
}

/** Makes the livepatch relocations of an intermediate object. */
function make(bytes: Uint8Array, kernel: typeof v61): void {
  const object = readObject(bytes, 'a.ko');
  makeLivepatchRelocations(object, readKernelRelocations(object), kernel);
}

describe('livepatch relocations', () => {
  test('sections by object and section, symbols by object, name and position', () => {
    const object = readObject(intermediate(), 'a.ko');
    makeLivepatchRelocations(object, readKernelRelocations(object), v61);
    const first = section(object, '.klp.rela.vmlinux..text');
    assert.ok((first.flags & SHF_RELA_LIVEPATCH) !== 0);
    assert.equal(first.target?.name, '.text');
    const [relocation] = first.relocations;
    assert.equal(relocation?.symbol?.name, '.klp.sym.vmlinux.hidden,2');
    assert.equal(relocation?.symbol?.section, SHN_LIVEPATCH);
    assert.deepEqual([relocation?.offset, relocation?.type, relocation?.addend], [1, 4, -4]);
    const second = section(object, '.klp.rela.tun..text').relocations[0];
    assert.equal(second?.symbol?.name, '.klp.sym.tun.per_cpu_data,0');
    assert.equal(second?.addend, 0x7fff00000000);
  });

  test('klp-symbol-unnameable: names that the kernel would not read to their end', async () => {
    const named = (name: string, kernel = v61) => {
      const more = `static char odd[] IN(".kpatch.strings") = "${name}";`;
      const object = readObject(
        compile(`${prelude}${more}
int changed(void) { return 1; }
struct symbol symbols[] IN(".kpatch.symbols") = { { 0, 2, 0, 2, odd, vmlinux } };
struct relocation relocations[] IN(".kpatch.relocations") = { { (char *)changed + 1, 4, 0, -4, vmlinux, &symbols[0] } };`),
        'a.ko',
      );
      makeLivepatchRelocations(object, readKernelRelocations(object), kernel);
    };
    await provokes('klp-symbol-unnameable', () => named('a,b'));
    await provokes('klp-symbol-unnameable', () => named('x'.repeat(512)));
    await provokes('klp-symbol-unnameable', () => named('x'.repeat(128), { major: 5, minor: 10 }));
    named('x'.repeat(511));
  });

  test("vmlinux's symbols in a module's code are relocated with those of vmlinux since 5.8, which needs no module", () => {
    const bytes = intermediate({ object: 'tun' });
    const object = readObject(bytes, 'a.ko');
    makeLivepatchRelocations(object, readKernelRelocations(object), v61);
    const [relocation] = section(object, '.klp.rela.vmlinux..text').relocations;
    assert.equal(relocation?.symbol?.name, '.klp.sym.vmlinux.hidden,2');
    assert.equal(section(object, '.klp.rela.tun..text').relocations.length, 1);
    const old = readObject(bytes, 'a.ko');
    makeLivepatchRelocations(old, readKernelRelocations(old), { major: 5, minor: 7 });
    assert.equal(section(old, '.klp.rela.tun..text').relocations.length, 2);
  });

  test('klp-relocation-crosses: a symbol of a module in code of vmlinux, refused since 5.8, allowed before', async () => {
    const bytes = intermediate({ symbolObject: 'tun' });
    await provokes('klp-relocation-crosses', () => make(bytes, v61));
    make(bytes, { major: 5, minor: 7 });
  });

  test('intermediate-malformed: pointers that lead nowhere, sizes that do not fit', async () => {
    const sources = [
      'struct relocation relocations[] IN(".kpatch.relocations") = { { 0, 4, 0, -4, vmlinux, 0 } };',
      'struct relocation relocations[] IN(".kpatch.relocations") = { { vmlinux, 4, 0, -4, vmlinux, (void *)tun } };',
      'char relocations[39] IN(".kpatch.relocations") = { 1 };',
      `struct symbol symbols[] IN(".kpatch.symbols") = { { 0, -1ul, 0, 2, hidden, vmlinux } };
       struct relocation relocations[] IN(".kpatch.relocations") = { { vmlinux, 4, 0, -4, vmlinux, &symbols[0] } };`,
      `struct symbol symbols[] IN(".kpatch.symbols") = { { 0, 0, 0, 2, hidden, vmlinux } };
       struct relocation relocations[] IN(".kpatch.relocations") = { { vmlinux, 4, 0, 1ul << 62, vmlinux, &symbols[0] } };`,
      `static char endless[1] IN(".kpatch.zz") = "x";
       struct symbol symbols[] IN(".kpatch.symbols") = { { 0, 0, 0, 2, endless, vmlinux } };
       struct relocation relocations[] IN(".kpatch.relocations") = { { vmlinux, 4, 0, 0, vmlinux, &symbols[0] } };`,
    ];
    for (const source of sources) {
      await provokes('intermediate-malformed', () =>
        readKernelRelocations(readObject(compile(prelude + source), 'a.ko')),
      );
    }
  });
});

describe('parts of a module', () => {
  const callbacks = `
int before(void *object) { return 0; }
struct callback pre[] IN(".kpatch.callbacks.pre_patch") = { { before, vmlinux } };`;

  test('functions and callbacks get names that the glue can link to', () => {
    const { objects, glue } = prepareParts([patchOf(intermediate({ more: callbacks }))]);
    assert.deepEqual(glue, [
      {
        object: 'vmlinux',
        functions: [{ name: 'replaced', sympos: 3, replacement: 'kpatch_part_0_0_changed' }],
        callbacks: { pre_patch: 'kpatch_part_0_1_before' },
        relocated: false,
      },
    ]);
    const part = readObject(objects[0]!, 'part.o');
    assert.ok(
      part.symbols.some(({ name, section }) => name === 'kpatch_part_0_1_before' && typeof section === 'object'),
    );
    assert.ok(!part.sections.some(({ name }) => name.startsWith('.kpatch.callbacks')));
  });

  test('callback-twice: two units with the same callback for one object', async () => {
    const unit = () => patchOf(intermediate({ more: callbacks }));
    const error = await provokes('callback-twice', () => prepareParts([unit(), unit()]));
    assert.match(error.message, /two pre_patch callbacks for vmlinux/);
  });

  test('a unit of two modules: what is new in it is there for each, under its own name, and each uses its own', () => {
    const definer = compile('int seen; int made(void) { return ++seen; }');
    const user = compile('extern int made(void); int other(void); int use(void) { return made() + other(); }');
    const given = ['liquidio', 'liquidio_vf'].flatMap((object) => [
      () => patchOf(definer, object),
      () => patchOf(user, object),
    ]);
    const names = prepareParts(given.map((one) => one())).objects.map((bytes) =>
      readObject(bytes, 'part.o')
        .symbols.filter(({ bind }) => bind !== STB.LOCAL)
        .map(({ name }) => name)
        .sort(),
    );
    assert.deepEqual(names, [
      ['made__liquidio', 'seen__liquidio'],
      ['made__liquidio', 'other', 'use__liquidio'],
      ['made__liquidio_vf', 'seen__liquidio_vf'],
      ['made__liquidio_vf', 'other', 'use__liquidio_vf'],
    ]);
    const alone = prepareParts(given.slice(0, 2).map((one) => one())).objects.map(
      (bytes) => readObject(bytes, 'part.o').symbols,
    );
    assert.ok(alone.flat().every(({ name }) => !name.includes('__liquidio')));
  });

  test('places of livepatch relocations are found again after the link, whatever the linker makes of the sections', () => {
    const source = (name: string): string =>
      `int hidden(int); int own_${name}(int a) { return a; } int ${name}(int a) { return hidden(a) + 1; }`;
    const results = ['f', 'g', 'h'].map((name) => {
      const [before, after] = [source(name), source(name).replace('+ 1', '+ 2')];
      return differ(before, after, { elsewhere: ['hidden'] });
    });
    const { objects, relocations } = prepareParts(results.map(({ patch }) => patch()));
    const files = objects.map((bytes, index) => {
      const file = join(folder, `place-${index}.o`);
      writeFileSync(file, bytes);
      return file;
    });
    // One section of code, and the parts in another order.
    writeFileSync(join(folder, 'join.lds'), 'SECTIONS { .text : { *(.text .text.*) } }');
    const linked = join(folder, 'places.o');
    const args = ['-r', '-T', join(folder, 'join.lds'), '-o', linked, files[2]!, files[0]!, files[1]!];
    const ld = spawnSync('ld', args, { encoding: 'utf8' });
    assert.equal(ld.status, 0, ld.stderr);
    const object = readObject(readFileSync(linked), 'places.o');
    const found = takePlaces(object, relocations);
    assert.equal(found.length, 3);
    for (const { section: home, offset, symbol } of found) {
      assert.equal(home.name, '.text');
      assert.equal(symbol.name, 'hidden');
      // The operand of a call (opcode e8), which no ordinary relocation fills in.
      assert.equal(home.data[offset - 1], 0xe8);
    }
    assert.equal(new Set(found.map(({ offset }) => offset)).size, 3);
    assert.ok(!object.sections.some(({ name }) => name.startsWith('.kpatch.')));
  });

  test('intermediate-malformed: marks that the linker has lost', async () => {
    const { objects, relocations } = prepareParts([patchOf(intermediate())]);
    const read = (): ElfObject => readObject(objects[0]!, 'part.o');
    assert.equal(takePlaces(read(), relocations).length, 2);
    await provokes('intermediate-malformed', () => takePlaces(read(), [...relocations, relocations[0]!]));
    await provokes('intermediate-malformed', () => takePlaces(read(), relocations.slice(1)));
    const dropped = read();
    dropped.sections = dropped.sections.filter(({ name }) => name !== '.kpatch.places');
    await provokes('intermediate-malformed', () => takePlaces(dropped, relocations));
  });

  test("what a module of dynup/kpatch replaces is read from its functions' table", () => {
    const functions = replacedFunctions(readObject(intermediate(), 'a.ko'));
    assert.deepEqual(functions, [{ name: 'replaced', object: 'vmlinux', sympos: 3 }]);
  });

  test("module-link-failed: with kbuild's own words", async () => {
    writeFileSync(join(folder, 'Makefile'), 'modules:\n\t@echo "ERROR: modpost: refused"; exit 1\n');
    const input = {
      folder,
      headers: folder,
      folders: [],
      compiler: ['CC=gcc'],
      buildRoot: undefined,
      name: 'x',
      glue: '',
      objects: [],
      settings: [],
    };
    const error = await provokes('module-link-failed', () => linkModule(input));
    assert.match(error.detail ?? '', /ERROR: modpost: refused/);
  });
});

describe('create-klp-module', () => {
  interface Ended {
    readonly status: number;
    readonly output: ElfObject | undefined;
    readonly said: string;
  }

  /** Runs the program as a build script would. */
  function run(bytes: Uint8Array, flags: readonly string[], environment: Readonly<Record<string, string>> = {}): Ended {
    const input = join(folder, 'in.ko');
    const output = join(folder, 'out.ko');
    rmSync(output, { force: true });
    writeFileSync(input, bytes);
    const program = join(import.meta.dirname, '../../../../bin/create-klp-module');
    const ended = spawnSync(program, [...flags, input, output], {
      encoding: 'utf8',
      env: { ...process.env, ...environment },
    });
    const made = existsSync(output) ? readObject(readFileSync(output), 'out.ko') : undefined;
    return { status: ended.status ?? -1, output: made, said: ended.stdout + ended.stderr };
  }

  const arch = `
struct { int offset, other; } alternatives[2] IN(".altinstructions") = { { 1, 2 }, { 3, 4 } };
char paravirt[12] IN(".parainstructions") = { 5 };
void *pointer IN(".parainstructions") = &changed;
struct arch archs[] IN(".kpatch.arch") = { { alternatives, vmlinux }, { paravirt, vmlinux }, { paravirt, vmlinux } };
`;

  test('-n: relocations and symbols only; functions and strings stay for the hook of dynup/kpatch', () => {
    const { status, output, said } = run(intermediate({ more: arch }), ['-n']);
    assert.equal(status, 0, said);
    assert.equal(said, '');
    const names = output!.sections.map(({ name }) => name);
    for (const name of [
      '.klp.rela.vmlinux..text',
      '.klp.rela.tun..text',
      '.kpatch.funcs',
      '.kpatch.strings',
      '.altinstructions',
    ]) {
      assert.ok(names.includes(name), `${name} in ${names.join(' ')}`);
    }
    assert.ok(!names.some((name) => /^\.kpatch\.(symbols|relocations|arch)|^\.klp\.arch/.test(name)), names.join(' '));
  });

  test('without -n: tables stand aside in .klp.arch sections, joined with the padding of the last entry', () => {
    const { status, output, said } = run(intermediate({ more: arch }), [], { PARA_STRUCT_SIZE: '16' });
    assert.equal(status, 0, said);
    const alternatives = section(output!, '.klp.arch.vmlinux..altinstructions');
    assert.equal(alternatives.data.length, 16);
    const paravirt = section(output!, '.klp.arch.vmlinux..parainstructions');
    // 20 bytes twice: the second begins at a multiple of the entry's size.
    assert.equal(paravirt.data.length, 52);
    assert.deepEqual(
      paravirt.relocations.map(({ offset, symbol }) => [offset, symbol?.name]),
      [
        [0, 'changed'],
        [32, 'changed'],
      ],
    );
    const names = output!.sections.map(({ name }) => name);
    assert.ok(!names.includes('.altinstructions') && !names.includes('.parainstructions'), names.join(' '));
  });

  test('what create-diff-object made and ld linked: as many symbols as relocations, and they become livepatch ones', () => {
    const before = 'int hidden(int); int f(int a) { return hidden(a) + hidden(a + 1); }';
    const after = before.replace('a + 1', 'a + 2');
    const { patch } = differ(before, after, { elsewhere: ['hidden'] });
    writeFileSync(join(folder, 'difference.o'), intermediateObject(patch()));
    const linked = join(folder, 'linked.o');
    const ld = spawnSync('ld', ['-r', '-o', linked, join(folder, 'difference.o')], { encoding: 'utf8' });
    assert.equal(ld.status, 0, ld.stderr);
    const bytes = readFileSync(linked);
    const object = readObject(bytes, 'linked.o');
    // Both structures have 40 bytes.
    const [symbols, relocations] = ['.kpatch.symbols', '.kpatch.relocations'].map(
      (name) => section(object, name).data.length,
    );
    assert.equal(symbols, relocations);
    assert.ok(symbols! >= 80);
    const ended = run(bytes, ['-n']);
    assert.equal(ended.status, 0, ended.said);
    const names = ended.output!.symbols.filter((one) => one.section === SHN_LIVEPATCH).map(({ name }) => name);
    assert.ok(names.includes('.klp.sym.vmlinux.hidden,0'), names.join(' '));
    assert.equal(new Set(names).size, names.length);
  });

  test('-d says what was made; long options may be cut short', () => {
    const { status, said } = run(intermediate(), ['-d', '--no-klp-arch']);
    assert.equal(status, 0);
    assert.match(said, /DEBUG: \.klp\.rela\.vmlinux\.\.text: 1 relocations/);
  });

  test('what is missing is said, with status 1 and no output; wrong usage is status 64', () => {
    const missing = run(compile('int a;'), ['-n']);
    assert.equal(missing.status, 1);
    assert.match(missing.said, /^ERROR: in\.ko: .*missing \.kpatch\.strings/);
    assert.equal(missing.output, undefined);
    assert.equal(run(Buffer.from('no elf'), []).status, 1);
    assert.equal(run(intermediate(), [], { PARA_STRUCT_SIZE: 'x' }).status, 1);
    assert.equal(createKlpModule(['only-one'], {}), 64);
    assert.equal(createKlpModule(['-x', 'a', 'b'], {}), 64);
    assert.equal(createKlpModule(['--help'], {}), 0);
  });
});
