/**
 * The newest stock 6.1 kernel: prepared as its vendor built it, its symbols and its code read back, its functions proven.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { consoleReporter } from '#kpatch/base/report.ts';
import { STT } from '#kpatch/formats/elf/constants.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { compileUnits } from '#kpatch/kbuild/compile.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { parseConfig, readConfig } from '#kpatch/kernel/config.ts';
import type { TargetKernel } from '#kpatch/kernel/target.ts';
import type { SpecialSection } from '#kpatch/platform/common/special.ts';
import { type FeatureName, features, has, longestName } from '#kpatch/platform/kernel-rules.ts';
import { requirePlatform } from '#kpatch/platform/registry.ts';
import { tablesOf } from '#kpatch/platform/structures.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { RunPreMatcher, type RunPreResult } from '#kpatch/run-pre/match.ts';
import { runningCode } from '#kpatch/run-pre/module-code.ts';

describe('the newest stock kernel', () => {
  let kernel: TargetKernel;
  let facts: KernelFacts;
  before(async () => {
    kernel = await prepareKernel(undefined, { report: consoleReporter() });
    facts = new KernelFacts(kernel);
  });

  it('has the configuration of its vendor, option by option, in every form', () => {
    const { tree, headers, config } = kernel.paths;
    const vendor = readConfig(config);
    assert.ok([...vendor.entries()].length > 5000);
    assert.equal(vendor.firstDifference(readConfig(join(tree, '.config'))), undefined);
    for (const name of [
      'include/generated/autoconf.h',
      'include/config/auto.conf',
      'include/generated/compile.h',
      'include/generated/utsrelease.h',
      'include/generated/asm-offsets.h',
      'include/generated/bounds.h',
      'include/generated/timeconst.h',
    ]) {
      assert.ok(readFileSync(join(tree, name)).equals(readFileSync(join(headers, name))), name);
    }
    assert.equal(parseConfig(readFileSync(join(tree, 'include/config/auto.conf'), 'utf8')).get('LIVEPATCH'), 'y');
    assert.match(readFileSync(join(tree, 'include/generated/utsrelease.h'), 'utf8'), new RegExp(`"${kernel.release}"`));
    for (const tool of [
      'scripts/basic/fixdep',
      'scripts/mod/modpost',
      'scripts/genksyms/genksyms',
      'tools/objtool/objtool',
    ]) {
      assert.ok((statSync(join(tree, tool)).mode & 0o111) !== 0, tool);
    }
  });

  it('says its symbols, modules and CRCs', () => {
    const { kallsyms, symvers, modules, image } = facts;
    assert.ok(kallsyms.size > 50_000);
    assert.equal(kallsyms.lookup('meminfo_proc_show').length, 1);
    assert.ok(kallsyms.lookup('init_once').length > 1);
    const text = image.section('.text')!;
    assert.equal(kallsyms.lookup('_text')[0]?.address, text.address);
    assert.ok((symvers.get('_printk') ?? symvers.get('printk'))?.module === 'vmlinux');
    assert.ok(modules.names.length > 2000);
    assert.match(image.buildId ?? '', /^[0-9a-f]{40}$/);
    assert.match(image.banner ?? '', new RegExp(kernel.release));
  });

  it('has the structures that its version should have', async () => {
    const rules = await facts.rules();
    const { target, ...dated } = rules;
    const platform = requirePlatform('uname', kernel.arch);
    const sizes = (tables: readonly SpecialSection[]): unknown =>
      tables.map(({ name, size, key, line, replacement }) => [name, size, key, line, replacement]);
    assert.deepEqual(sizes(tablesOf(platform, rules)), sizes(platform.specialSections(dated)));
    for (const name of Object.keys(features) as FeatureName[]) assert.equal(has(rules, name), has(dated, name), name);
    assert.equal(longestName(rules), longestName(dated));
    // What module/tables.ts reads of modules of any kernel.
    const { klp_func: func, klp_object: object, klp_patch: patch } = target!.structures;
    assert.deepEqual([func?.members.old_name, func?.members.new_func, func?.members.old_sympos], [0, 8, 16]);
    assert.deepEqual([object?.members.name, object?.members.funcs, patch?.members.objs], [0, 8, 8]);
  });

  it('runs what is compiled here: every function of two files of vmlinux and one of a module', async () => {
    using folder = temporaryFolder('kpatch-stock-');
    const overlay = new SourceOverlay(kernel.paths.tree, folder.path);
    const objects = await facts.objects();
    const units = ['fs/proc/array.o', 'kernel/fork.o', 'drivers/net/tun.o'].map((object) => ({
      object,
      owners: objects.get(object)!,
      through: [],
    }));
    const compiled = await compileUnits(overlay, units, {
      variables: await facts.variables(),
      jobs: 2,
      when: 'before',
      settings: [],
    });
    const results: RunPreResult[] = [];
    for (const { unit, bytes } of compiled) {
      const object = readObject(bytes, unit.object);
      const functions = object.symbols.filter(
        ({ type, section, size }) => type === STT.FUNC && typeof section === 'object' && size > 0,
      );
      results.push(...new RunPreMatcher(object, await runningCode(facts, unit.owners[0]!.object)).matchAll(functions));
    }
    const doubtful = results.filter((result) => !result.matched && result.reason !== 'overridden');
    assert.deepEqual(doubtful, []);
    assert.ok(results.filter(({ matched }) => matched).length > 150, `${results.length} matches`);
  });

  it('is left as it was by compiling', async () => {
    const names = readdirSync(join(kernel.paths.tree, 'fs/proc'));
    assert.deepEqual(
      names.filter((name) => name.endsWith('.o') || name.endsWith('.cmd')),
      [],
    );
    assert.equal((await prepareKernel(kernel.release, { report: consoleReporter() })).paths.tree, kernel.paths.tree);
  });
});
