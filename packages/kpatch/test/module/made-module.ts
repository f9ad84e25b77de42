/** A livepatch module as the checks see it, compiled on the spot: glue tables, module parts, versions, livepatch relocations. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHF, SHT, STB, STT } from '#kpatch/formats/elf/constants.ts';
import { type ElfObject, newSection, newSymbol } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';
import type { CheckTarget } from '#kpatch/module/check/target.ts';
import { SHF_RELA_LIVEPATCH, SHN_LIVEPATCH } from '#kpatch/module/make/klp.ts';
import { addManifest, type Manifest } from '#kpatch/module/manifest.ts';
import type { ObjectSymbol } from '#kpatch/prepare/facts.ts';

export const release = '6.1.0-9-amd64';
export const vermagic = `${release} SMP preempt mod_unload modversions`;
export const buildId = 'a'.repeat(40);

export const manifest: Manifest = {
  schema: 'kpatch.manifest/1',
  name: 'livepatch_made',
  version: 3,
  release,
  arch: 'x86_64',
  buildId,
  replace: true,
  functions: [
    { name: 'old_one', object: 'vmlinux', sympos: 0, patches: ['a.patch'] },
    { name: 'old_two', object: 'tun', sympos: 2, patches: ['a.patch'] },
  ],
  cves: [],
  states: [{ id: 4, version: 2 }],
  patches: [{ name: 'a.patch', sha256: 'b'.repeat(64) }],
  runPre: 'skipped',
  tool: 'kpatch test',
};

/** The parts of the C source; a test changes one. */
export const source = {
  modinfo: [
    'name=livepatch_made',
    'livepatch=Y',
    `vermagic=${vermagic}`,
    'import_ns=SPECIAL',
    `kpatch_build_id=${buildId}`,
  ],
  versions: { module_layout: 0x11111111, _printk: 0x22222222, special_symbol: 0x33333333 } as Record<string, number>,
  /** More C. */
  more: '',
};

/** Compiles C to an object's bytes. */
export function compile(text: string, flags: readonly string[] = ['-w']): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'kpatch-c-'));
  try {
    writeFileSync(join(folder, 'a.c'), text);
    const args = ['-c', '-O1', '-fno-pic', '-mcmodel=kernel', '-fno-asynchronous-unwind-tables', ...flags];
    const result = spawnSync('gcc', [...args, '-o', join(folder, 'a.o'), join(folder, 'a.c')], { encoding: 'utf8' });
    assert.equal(result.status, 0, result.stderr);
    return readFileSync(join(folder, 'a.o'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function cSource({ modinfo, versions, more }: typeof source): string {
  const entries = Object.entries(versions).map(([name, crc]) => `{ ${crc}ul, "${name}" }`);
  return `
struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; long internal[9]; };
struct klp_object { const char *name; struct klp_func *funcs; long internal[11]; };
struct version { unsigned long crc; char name[56]; };
extern int _printk(const char *, ...), special_symbol(int), hidden_function(int);
extern int hidden_data;
__attribute__((noinline)) int new_one(int a) { return _printk("%d", a) + special_symbol(a); }
__attribute__((noinline)) int new_two(int a) { return a * 3; }
static struct klp_func livepatch_functions_0[] = { { "old_one", new_one, 0 }, { } };
static struct klp_func livepatch_functions_1[] = { { "old_two", new_two, 2 }, { } };
static struct klp_object livepatch_objects[] = { { 0, livepatch_functions_0 }, { "tun", livepatch_functions_1 }, { } };
struct klp_object *use;
int init_module(void) { use = livepatch_objects; return 0; }
void cleanup_module(void) { use = 0; }
char __this_module[64] __attribute__((section(".gnu.linkonce.this_module"))) = { 1 };
const char info[] __attribute__((section(".modinfo"))) = ${modinfo.map((one) => `"${one}\\0"`).join(' ')};
const struct version versions[] __attribute__((section("__versions"))) = { ${entries.join(', ')} };
${more}`;
}

export interface Made {
  readonly c?: Partial<typeof source>;
  readonly manifest?: Partial<Manifest>;
  /** Name and `STT` of livepatch symbols; each gets a relocation of the type in `.text`. */
  readonly symbols?: readonly (readonly [name: string, type: number])[];
  readonly relocation?: number;
  /** Name of the section with the livepatch relocations. */
  readonly section?: string;
  readonly change?: (object: ElfObject) => void;
}

/** The bytes of such a module. */
export function madeModule(made: Made = {}): Uint8Array {
  const object = readObject(compile(cSource({ ...source, ...made.c })), 'made.ko');
  addManifest(object, { ...manifest, ...made.manifest });
  const target = object.sections.find(({ name }) => name === '.text')!;
  const flags = SHF_RELA_LIVEPATCH | SHF.INFO_LINK | SHF.ALLOC;
  const name = made.section ?? '.klp.rela.vmlinux..text';
  const section = newSection({ name, type: SHT.RELA, flags, addralign: 8, entsize: 24, target });
  const symbols = made.symbols ?? [
    ['.klp.sym.vmlinux.hidden_function,0', STT.FUNC],
    ['.klp.sym.vmlinux.hidden_data,2', STT.OBJECT],
  ];
  for (const [name, type] of symbols) {
    const symbol = newSymbol({ name, type, bind: STB.LOCAL, section: SHN_LIVEPATCH });
    object.symbols.push(symbol);
    section.relocations.push({ offset: 0, type: made.relocation ?? 2, symbol, addend: -4 });
  }
  object.sections.push(section);
  made.change?.(object);
  return writeObject(object);
}

const symbol = (name: string, kind: ObjectSymbol['kind']): ObjectSymbol => ({
  name,
  address: 0n,
  kind,
  bind: 'local',
  weak: false,
});

/** A kernel that the module fits. */
export const target: CheckTarget = {
  kernel: { release, buildId },
  config: { has: (name) => name === 'MODVERSIONS' },
  symvers: new Map(
    Object.entries(source.versions).map(([name, crc]) => [
      name,
      {
        name,
        crc,
        module: 'vmlinux',
        exportType: 'EXPORT_SYMBOL',
        namespace: name === 'special_symbol' ? 'SPECIAL' : undefined,
      },
    ]),
  ),
  symbolsOf: async (object) => {
    if (object === 'tun') return [symbol('old_two', 'function'), symbol('old_two', 'function')];
    return [
      symbol('old_one', 'function'),
      symbol('hidden_function', 'function'),
      symbol('hidden_data', 'function'),
      symbol('hidden_data', 'object'),
    ];
  },
};
