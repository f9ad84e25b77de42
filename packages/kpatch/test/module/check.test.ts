import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { SHF, SHT, STT } from '#kpatch/formats/elf/constants.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { newSection } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { checkModule } from '#kpatch/module/check/check.ts';
import { symbolVersions } from '#kpatch/module/check/check-symbols.ts';
import { replacedFunctions } from '#kpatch/module/tables.ts';
import { provokes } from '../provoke.ts';
import { buildId, compile, type Made, madeModule, release, source, target, vermagic } from './made-module.ts';

const check = (made: Made, kernel = target): ReturnType<typeof checkModule> =>
  checkModule(madeModule(made), 'made.ko', kernel, vermagic);

const versions = (changed: Record<string, number | undefined>): Made => ({
  c: { versions: JSON.parse(JSON.stringify({ ...source.versions, ...changed })) as Record<string, number> },
});

const modinfo = (...changed: readonly string[]): Made => {
  const keys = changed.map((one) => one.split('=')[0]!);
  const kept = source.modinfo.filter((one) => !keys.includes(one.split('=')[0]!));
  return { c: { modinfo: [...kept, ...changed.filter((one) => !one.endsWith('=-'))] } };
};

describe('the check of a finished module', () => {
  test('one that fits is reported in numbers', async () => {
    const bytes = madeModule();
    const report = await checkModule(bytes, 'made.ko', target, vermagic);
    assert.equal(report.bytes, bytes.length);
    assert.equal(report.exportedSymbols, 2);
    assert.equal(report.livepatchSymbols, 2);
    assert.equal(report.functions, 2);
    assert.equal(report.vermagic, vermagic);
    assert.deepEqual(report.namespaces, ['SPECIAL']);
    assert.ok(report.code > 10 && report.data > 100, JSON.stringify(report));
  });

  test('the functions that it replaces are read out of its own tables', () => {
    assert.deepEqual(replacedFunctions(readObject(madeModule(), 'made.ko')), [
      { object: 'vmlinux', name: 'old_one', sympos: 0 },
      { object: 'tun', name: 'old_two', sympos: 2 },
    ]);
    assert.equal(replacedFunctions(readObject(compile('int a;'), 'a.o')), undefined);
  });

  test('several problems: the first is the error, the others stand in its detail', async () => {
    const error = await provokes('module-symbol-version', () => check(versions({ _printk: 1, module_layout: 2 })));
    assert.match(error.detail ?? '', /also:\n.*module_layout/);
  });

  test('module-symbol-unresolved: a symbol that the kernel does not export', async () => {
    const more = 'extern int nowhere(void); int caller(void) { return nowhere(); }';
    const error = await provokes('module-symbol-unresolved', () => check({ c: { more } }));
    assert.match(error.message, /livepatch_made needs nowhere, which 6\.1\.0-9-amd64 does not export/);
  });

  test('a weak symbol may stay undefined', async () => {
    const more = 'extern int nowhere(void) __attribute__((weak)); int caller(void) { return nowhere ? nowhere() : 0; }';
    assert.equal((await check({ c: { more } })).exportedSymbols, 2);
  });

  test('module-symbol-version: another CRC, or none', async () => {
    const other = await provokes('module-symbol-version', () => check(versions({ _printk: 0x22222223 })));
    assert.match(other.message, /0x22222223 of the symbol _printk, but .* has 0x22222222/);
    const none = await provokes('module-symbol-version', () => check(versions({ special_symbol: undefined })));
    assert.match(none.message, /no version of the symbol special_symbol/);
  });

  test('an export without a CRC (assembly without a prototype) needs no version', async () => {
    const symvers = new Map(target.symvers);
    symvers.set('_printk', { ...symvers.get('_printk')!, crc: 0 });
    await check(versions({ _printk: undefined }), { ...target, symvers });
  });

  test('without MODVERSIONS nobody looks at CRCs', async () => {
    await check(versions({ _printk: 1 }), { ...target, config: { has: () => false } });
  });

  test('the extended form of versions (Linux 6.14) is read as well', () => {
    const elf = new ElfFile(
      compile(`
        const unsigned crcs[] __attribute__((section("__version_ext_crcs"))) = { 0x11111111, 0x22222222 };
        const char names[] __attribute__((section("__version_ext_names"))) = "module_layout\\0_printk";`),
      'a.o',
    );
    assert.deepEqual(
      [...symbolVersions(elf)],
      [
        ['module_layout', 0x11111111],
        ['_printk', 0x22222222],
      ],
    );
  });

  test('module-namespace: used and not imported', async () => {
    const error = await provokes('module-namespace', () => check(modinfo('import_ns=OTHER')));
    assert.match(error.message, /special_symbol .* namespace SPECIAL/);
  });

  test('module-klp-symbol: each way in which livepatch would not find it, or find another', async () => {
    const cases: readonly (readonly [string, number, RegExp])[] = [
      ['.klp.sym.vmlinux.absent,0', STT.FUNC, /there is no symbol of that name/],
      ['.klp.sym.vmlinux.hidden_data,0', STT.OBJECT, /there are 2 of that name, and no position/],
      ['.klp.sym.vmlinux.hidden_data,3', STT.OBJECT, /there are only 2/],
      ['.klp.sym.vmlinux.hidden_data,1', STT.OBJECT, /it is a function in the kernel/],
      ['.klp.sym.vmlinux.hidden_data,2', STT.FUNC, /it is data in the kernel/],
    ];
    for (const [name, type, problem] of cases) {
      const error = await provokes('module-klp-symbol', () => check({ symbols: [[name, type]] }));
      assert.match(error.message, problem);
    }
  });

  test('module-klp-name: names that the kernel cannot take apart', async () => {
    await provokes('module-klp-name', () => check({ symbols: [['.klp.sym.vmlinux.f', STT.FUNC]] }));
    await provokes('module-klp-name', () => check({ section: '.klp.rela.vmlinux' }));
  });

  test('module-klp-function: a function that is not where the tables say', async () => {
    const symbolsOf: typeof target.symbolsOf = async (object) =>
      (await target.symbolsOf(object)).filter(({ name }, index) => name !== 'old_two' || index > 0);
    const error = await provokes('module-klp-function', () => check({}, { ...target, symbolsOf }));
    assert.match(error.message, /replaces old_two at position 2 of tun: there are only 1/);
  });

  test('module-vermagic: another release, or the same with other words', async () => {
    await provokes('module-vermagic', () =>
      check(modinfo('vermagic=6.1.0-8-amd64 SMP preempt mod_unload modversions')),
    );
    await provokes('module-vermagic', () => check(modinfo(`vermagic=${release} SMP mod_unload modversions`)));
    // Where no module of the kernel is at hand the release is all there is to compare.
    await checkModule(madeModule(modinfo(`vermagic=${release} SMP`)), 'made.ko', target);
  });

  test('module-build-id: in the manifest or in modinfo', async () => {
    await provokes('module-build-id', () => check({ manifest: { buildId: 'c'.repeat(40) } }));
    await provokes('module-build-id', () => check(modinfo(`kpatch_build_id=${'c'.repeat(40)}`)));
    const kernel = { ...target, kernel: { release, buildId: undefined } };
    const error = await provokes('module-build-id', () => check({}, kernel));
    assert.match(error.message, new RegExp(`${buildId}, but ${release} has none`));
  });

  test('module-section-writable-code', async () => {
    const flags = SHF.ALLOC | SHF.WRITE | SHF.EXECINSTR;
    const change: Made['change'] = (object) => {
      object.sections.push(newSection({ name: '.text.odd', type: SHT.PROGBITS, flags, data: new Uint8Array(4) }));
    };
    const error = await provokes('module-section-writable-code', () => check({ change }));
    assert.equal(error.where.section, '.text.odd');
  });

  test('module-relocation-unknown: a type that the module loader refuses', async () => {
    const error = await provokes('module-relocation-unknown', () => check({ relocation: 9 }));
    assert.match(error.message, /\.klp\.rela\.vmlinux\.\.text .* type 9/);
  });

  test('module-incomplete: each part that has to be there', async () => {
    const without =
      (...names: readonly string[]): NonNullable<Made['change']> =>
      (object) => {
        for (const symbol of object.symbols) if (names.includes(symbol.name)) symbol.name = `not_${symbol.name}`;
      };
    const cases: readonly (readonly [Made, RegExp])[] = [
      [{ change: without('init_module') }, /it does not define init_module/],
      [{ change: without('cleanup_module') }, /it does not define cleanup_module/],
      [{ change: without('__this_module') }, /it does not define __this_module/],
      [{ change: without('livepatch_objects') }, /it replaces no function/],
      [modinfo('livepatch=-'), /not marked as a livepatch module/],
      [
        { change: (object) => void object.sections.push(newSection({ name: '.kpatch.symbols' })) },
        /the intermediate section \.kpatch\.symbols/,
      ],
      [
        {
          change: (object) => {
            object.sections = object.sections.filter(({ name }) => name !== '.kpatch.manifest');
          },
        },
        /it has no manifest/,
      ],
    ];
    for (const [made, problem] of cases) {
      const error = await provokes('module-incomplete', () => check(made));
      assert.match(`${error.message}\n${error.detail ?? ''}`, problem);
    }
  });
});

test('a damaged module is reported or refused with an error of the catalogue, never a crash', async () => {
  const bytes = madeModule();
  const rounds = process.env.KPATCH_SOAK === undefined ? 400 : 40_000;
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  for (let round = 0; round < rounds; round++) {
    const damaged = Buffer.from(bytes.subarray(0, random(8) === 0 ? random(bytes.length) : bytes.length));
    for (let flips = 1 + random(4); flips > 0 && damaged.length > 0; flips--)
      damaged[random(damaged.length)] = random(256);
    for (const look of [
      () => checkModule(damaged, 'damaged.ko', target, vermagic),
      () => replacedFunctions(readObject(damaged, 'damaged.ko')),
    ]) {
      try {
        await look();
      } catch (error) {
        assert.ok(error instanceof KpatchError, `round ${round}: ${(error as Error).stack}`);
      }
    }
  }
});
