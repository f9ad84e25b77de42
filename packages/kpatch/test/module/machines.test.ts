/** What livepatch modules of ppc64le and s390x ask of the kernel's module loader, from C to relocations. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { diff } from '#kpatch/differ/diff.ts';
import type { DiffOptions } from '#kpatch/differ/options.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import type { ElfObject, Relocation, Section } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';
import { checkExports, neededSymbols } from '#kpatch/module/check/check-symbols.ts';
import { makeLivepatchRelocations } from '#kpatch/module/make/klp.ts';
import { prepareParts } from '#kpatch/module/make/parts.ts';
import { takePlaces } from '#kpatch/module/make/places.ts';
import { architectureOf } from '#kpatch/platform/registry.ts';
import { common, compile, type Toolchain } from '../differ/fixture.ts';

/** As kernels of Linux 6.12 are compiled, with the flags of `Platform.moduleFlags`. */
const power: Toolchain = {
  name: 'ppc64le',
  compiler: 'powerpc64le-linux-gnu-gcc-12',
  flags: [
    ...[...common, '-mcmodel=medium', '-mabi=elfv2', '-mcpu=power8', '-mno-vsx', '-msoft-float', '-mtraceback=no'],
    ...['-pg', '-mprofile-kernel', '-mcmodel=large', '-fno-optimize-sibling-calls'],
  ],
};
const z: Toolchain = {
  name: 's390x',
  compiler: 's390x-linux-gnu-gcc-12',
  flags: [
    ...[...common, '-march=z13', '-mpacked-stack', '-mbackchain', '-msoft-float', '-fPIC'],
    ...[
      '-pg',
      '-mfentry',
      '-mrecord-mcount',
      '-mnop-mcount',
      '-mindirect-branch=thunk-extern',
      '-mfunction-return=thunk-extern',
      '-mindirect-branch-table',
    ],
  ],
};

/** Calls of leaf and other functions, of this file and others; data of this file and others; a call through a pointer. */
const source = (change: string): string => `
extern int elsewhere(int), exported_one(int); extern int far_data; extern int (*hook)(int);
static int kept = 1; static int table[8] = { 1, 2, 3 };
__attribute__((noinline)) static int leaf(int x) { return x * kept; }
__attribute__((noinline)) static int caller(int x) { kept += x; return elsewhere(x) + 1; }
int changed(int x) { ${change} return leaf(x) + caller(x) + elsewhere(x) + exported_one(x) + far_data + table[x & 7] + hook(x); }
int tail(int x) { ${change} return elsewhere(x + 1); }
int steady(int x) { return caller(leaf(x)); }
`;

interface Made {
  readonly object: ElfObject;
  /** The sections of livepatch relocations by name. */
  readonly livepatch: ReadonlyMap<string, Section>;
  readonly functions: readonly string[];
}

/** As the kernel's build links a module: sections of one name become one. */
function linked({ compiler }: Toolchain, part: Uint8Array): ElfObject {
  using folder = temporaryFolder('kpatch-linked-');
  writeFileSync(join(folder.path, 'part.o'), part);
  execFileSync(compiler.replace('gcc-12', 'ld'), ['-r', '-o', 'module.o', 'part.o'], { cwd: folder.path });
  return readObject(readFileSync(join(folder.path, 'module.o')), 'module.o');
}

/** The object of a livepatch module, for a change in code of `vmlinux` or a module. */
function made(toolchain: Toolchain, object: string, change = 'kept++;'): Made {
  const others = [
    { name: 'elsewhere', kind: 'function', bind: 'global' },
    ...['far_data', 'hook'].map((name) => ({ name, kind: 'other', bind: 'global' }) as const),
    ...[1, 14]
      .map((register) => `__s390_indirect_jump_r${register}`)
      .map((name) => ({ name, kind: 'function', bind: 'global' }) as const),
  ] as const;
  const own = [
    ...['leaf', 'caller'].map((name) => ({ name, kind: 'function', bind: 'local' }) as const),
    ...['kept', 'table'].map((name) => ({ name, kind: 'object', bind: 'local' }) as const),
    ...['changed', 'tail', 'steady'].map((name) => ({ name, kind: 'function', bind: 'global' }) as const),
  ];
  const options: DiffOptions = {
    names: { original: 'a.o', patched: 'b.o' },
    object,
    kernel: { major: 6, minor: 12, config: () => undefined },
    // The loader of ppc64le knows the calls of _mcount by this name, so it must not be a livepatch symbol.
    exported: (name) => (name === 'exported_one' || name === '_mcount' ? { module: 'vmlinux', gpl: false } : undefined),
    symbols: object === 'vmlinux' ? [...own, ...others] : own,
    kernelSymbols: others,
  };
  const result = diff(compile(toolchain, source('')), compile(toolchain, source(change)), options);
  assert.equal(result.status, 'changed');
  const parts = prepareParts([result.patch()]);
  const module = linked(toolchain, parts.objects[0]!);
  makeLivepatchRelocations(module, takePlaces(module, parts.relocations), { major: 6, minor: 12 });
  const livepatch = module.sections.filter(({ name }) => name.startsWith('.klp.rela.'));
  return {
    object: module,
    livepatch: new Map(livepatch.map((section) => [section.name, section])),
    functions: result.functions.map(({ kind, name }) => `${kind} ${name}`).sort(),
  };
}

const all = ({ livepatch }: Made): { section: Section; relocation: Relocation }[] =>
  [...livepatch.values()].flatMap((section) => section.relocations.map((relocation) => ({ section, relocation })));

/** The names that the kernel resolves, without their positions. */
const names = (one: Made): string[] => [...new Set(all(one).map(({ relocation }) => relocation.symbol!.name))].sort();

for (const toolchain of [power, z]) {
  describe(`livepatch relocations of ${toolchain.name}`, () => {
    it('have types that the module loader takes, as have all others', () => {
      const one = made(toolchain, 'vmlinux');
      const { loader, relocation: known } = architectureOf(one.object);
      assert.deepEqual(
        one.functions.filter((name) => name.startsWith('changed')),
        ['changed changed', 'changed tail'],
      );
      for (const section of one.object.sections.filter(({ flags }) => (flags & 2) !== 0)) {
        for (const { type } of section.relocations)
          assert.ok(loader!.relocations.has(type), `${section.name}: ${known(type)?.name ?? type}`);
      }
    });

    it('of a module wait for it: its symbols are in sections of its name, those of vmlinux are not', () => {
      const one = made(toolchain, 'late');
      const mixed = all(one).filter(
        ({ section, relocation }) =>
          section.name.startsWith('.klp.rela.late.') !== relocation.symbol!.name.startsWith('.klp.sym.late.'),
      );
      assert.deepEqual(
        mixed.map(({ section, relocation }) => [section.name, relocation.symbol!.name]),
        [],
      );
      assert.ok(names(one).includes('.klp.sym.late.kept,0'));
      assert.ok([...one.livepatch.keys()].some((name) => name.startsWith('.klp.rela.late.')));
    });
  });
}

describe('livepatch relocations of ppc64le and the TOC', () => {
  const NOP = 0x60000000;
  const [REL24, ADDR64] = [10, 38];

  it('are calls with room to restore the TOC pointer, or entries of the own .toc, since nothing else reaches the kernel', () => {
    const one = made(power, 'vmlinux');
    const entries = all(one);
    assert.ok(entries.some(({ relocation }) => relocation.type === REL24));
    assert.ok(entries.some(({ section }) => section.name.startsWith('.klp.rela.vmlinux..toc')));
    for (const { section, relocation } of entries) {
      const { data, name } = section.target!;
      if (relocation.type === ADDR64) assert.match(name, /^\.toc/);
      else {
        assert.equal(relocation.type, REL24, name);
        assert.equal(Buffer.from(data).readUInt32LE(relocation.offset + 4), NOP, `${name}+${relocation.offset}`);
      }
    }
  });

  it('has a callee included where nothing after the call restores the TOC pointer', () => {
    const { object } = made(power, 'vmlinux');
    // gcc leaves the NOP out for functions of the same file.
    for (const name of ['leaf', 'caller'])
      assert.ok(object.sections.some((section) => section.name === `.text.${name}`));
    const code = object.sections.filter(({ name }) => name.startsWith('.text.'));
    const jumps = code.flatMap(({ name, data, relocations }) =>
      relocations
        .filter(({ type, offset }) => type === REL24 && (Buffer.from(data).readUInt32LE(offset) & 1) === 0)
        .map(() => name),
    );
    assert.deepEqual(jumps, []); // no sibling calls
  });

  it('sets the TOC pointer up from the distance before the function, which travels with it', () => {
    const { object } = made(power, 'vmlinux');
    const text = object.sections.find(({ name }) => name === '.text.changed')!;
    const symbol = object.symbols.find(({ name }) => name === 'changed')!;
    assert.equal(symbol.value, 8);
    assert.equal(text.relocations[0]?.offset, 0);
    assert.equal(text.relocations[0]?.symbol?.name, '.TOC.');
  });

  it('asks the module loader itself for .TOC., which no kernel exports', () => {
    const elf = new ElfFile(writeObject(made(power, 'vmlinux').object), 'made.o');
    const target = {
      kernel: { release: '6.12.0', buildId: '00' },
      config: { has: () => false },
      symvers: new Map(),
      symbolsOf: async () => [],
    };
    assert.ok(neededSymbols(elf.symbols()).some(({ name }) => name === '.TOC.'));
    const refused = checkExports(elf, 'made', new Set(), target).map((error) => error.message);
    assert.ok(refused.some((message) => message.includes('exported_one')));
    assert.ok(!refused.some((message) => message.includes('.TOC.')), refused.join('\n'));
  });
});

describe('livepatch relocations of s390x', () => {
  it('load addresses of other files from the GOT of the module, and reach those of the own file directly', () => {
    const one = made(z, 'vmlinux');
    const { relocation: known } = architectureOf(one.object);
    const types = new Map(all(one).map(({ relocation }) => [relocation.symbol!.name, known(relocation.type)?.name]));
    assert.equal(types.get('.klp.sym.vmlinux.far_data,0'), 'R_390_GOTENT');
    assert.equal(types.get('.klp.sym.vmlinux.elsewhere,0'), 'R_390_PLT32DBL');
    assert.equal(types.get('.klp.sym.vmlinux.kept,0'), 'R_390_PC32DBL');
  });

  it('jump to the thunks of the kernel, at places that the loader may turn back', () => {
    const one = made(z, 'vmlinux');
    assert.ok(names(one).includes('.klp.sym.vmlinux.__s390_indirect_jump_r14,0'));
    const places = one.object.sections.filter(({ name }) => /^\.s390_(?:indirect|return)/.test(name));
    assert.ok(places.length > 0);
    for (const { data, relocations } of places) assert.equal(relocations.length, data.length / 4);
  });
});
