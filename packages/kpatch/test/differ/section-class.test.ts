/** Each section has exactly one class: the patterns do not overlap, and a name that is only like a known one is unknown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readModel } from '#kpatch/differ/parts/read-model.ts';
import { kindOfSection, namedClasses } from '#kpatch/differ/parts/section-class.ts';
import { SHF, SHT } from '#kpatch/formats/elf/constants.ts';
import { newSection } from '#kpatch/formats/elf/object.ts';
import { aarch64 } from '#kpatch/platform/arm64/machine.ts';
import type { Platform } from '#kpatch/platform/platform.ts';
import { x86_64 } from '#kpatch/platform/x86_64/machine.ts';

/** Names of sections by their class, from linker scripts and macros of kernels 3.10 to 6.18. */
const names = {
  ignored: `.discard .discard.addressable .discard.unreachable .discard.func_stack_frame_non_standard .note.GNU-stack
    .note.gnu.property .comment .eh_frame .eh_frame_hdr .sframe .orc_header .modinfo .export_symbol .BTF .BTF.ext .llvm_addrsig
    .llvm.call-graph-profile .llvm.lto .stab .stabstr .stab.index .gnu.attributes .gnu.hash .gnu.warning.f .gnu.lto_.decls.1
    .gnu.debuglto_.debug_info .gnu.linkonce.this_module .gnu.build.attributes.text .gnu_debuglink __ksymtab __ksymtab_gpl
    ___ksymtab+f ___ksymtab_gpl+f ___ksymtab_unused+f __kcrctab ___kcrctab_gpl+f __ksymtab_strings __versions
    .kunit_test_suites`,
  fragments: '.altinstr_aux .altinstr_replacement .fixup __ftr_alt_97',
  registry: `.initcall6.init .initcallearly.init .con_initcall.init .security_initcall.init .exitcall.exit .init.setup .init_array
    .init_array.00001 .fini_array .ctors .dtors .lsm_info.init .early_lsm_info.init .pci_fixup_header
    .static_call_tramp_key __param __obsparm __modver __earlycon_table __clk_of_table __timer_of_table_end
    __irqchip_acpi_probe_table __thermal_table_governor __kunit_suites __syscalls_metadata _ftrace_events _ftrace_eval_map
    _ftrace_enum_map _error_injection_whitelist _kprobe_blacklist __bpf_raw_tp_map __tracepoints_ptrs __trace_printk_fmt`,
  ids: '.BTF_ids',
  data: `.data .data.x .data..read_mostly .data..percpu .data..ro_after_init .data.unlikely .data.once .data.rel.ro.x .bss .bss.x
    .bss..page_aligned .rodata .rodata.x .rodata.x.str1.8 .rodata.cst16 .sdata .ref.data .init.data .init.rodata .exit.data
    .meminit.data .cpuinit.rodata .toc .opd __tracepoints __tracepoints_strings __tracepoint_str __dyndbg __dyndbg_classes
    __verbose __fair_sched_class .vvar_vdso_data alloc_tags`,
} as const;

const list = (text: string): string[] => text.split(/\s+/);
const matches = (name: string): string[] =>
  namedClasses.filter(({ pattern }) => pattern.test(name)).map((one) => one.class);

for (const [kind, text] of Object.entries(names)) {
  test(`sections that are ${kind}: each matches this pattern and no other`, () => {
    for (const name of list(text)) assert.deepEqual(matches(name), [kind], name);
  });
}

test('the patterns are anchored: what only contains or continues a known name is another section', () => {
  for (const name of Object.values(names).flatMap(list)) {
    for (const other of [`.my${name}`, `my${name}`, ` ${name}`]) assert.deepEqual(matches(other), [], other);
    assert.ok(matches(`${name}.x`).length <= 1, name);
    if (/^\.\w+$/.test(name)) assert.ok(matches(`${name}s`).length <= 1, name);
  }
  assert.deepEqual(matches('.BTF_ids2'), []);
  assert.deepEqual(matches('.BTFfoo'), []);
  assert.deepEqual(matches('.gnu.linkonce.t.f'), []);
  assert.deepEqual(matches('.llvmfoo'), []);
  assert.deepEqual(matches('.eh_frame_entry'), []);
  assert.deepEqual(matches('.database'), []);
});

test('flags decide where a name does not: code, strings, constants, what is not loaded', () => {
  const kind = (name: string, flags: number, more: { entsize?: number; type?: number } = {}): string => {
    const section = newSection({ name, flags: SHF.ALLOC | flags, ...more });
    return kindOfSection(section, new Set(['__bug_table'])).class;
  };
  assert.equal(kind('.text.f', SHF.EXECINSTR), 'text');
  assert.equal(kind('.gnu.linkonce.t.f', SHF.EXECINSTR), 'text');
  assert.equal(kind('.fixup', SHF.EXECINSTR), 'fragments');
  assert.equal(kind('.discard.text', SHF.EXECINSTR), 'ignored');
  assert.equal(kind('.rodata.str1.8', SHF.MERGE | SHF.STRINGS, { entsize: 1 }), 'strings');
  assert.equal(kind('.rodata.cst16', SHF.MERGE, { entsize: 16 }), 'constants');
  assert.equal(kind('.rodata.x', 0), 'read-only');
  assert.equal(kind('.data.x', SHF.WRITE), 'writable');
  assert.equal(kind('__bug_table', 0), 'table');
  assert.equal(kind('.kpatch.ignore.sections', 0), 'kpatch');
  assert.equal(kind('__own_table', 0), 'unknown');
  assert.equal(kind('.own.note', 0, { type: SHT.NOTE }), 'ignored');
  assert.equal(kindOfSection(newSection({ name: '.debug_info', flags: 0 }), new Set()).class, 'ignored');
});

test('phases: init, exit, and names of functions that are only called so', () => {
  const phase = (name: string): string => kindOfSection(newSection({ name, flags: SHF.ALLOC }), new Set()).phase;
  for (const name of ['.init.text', '.init.data', '.head.text', '.initcall6.init', '.con_initcall.init', '.init_array'])
    assert.equal(phase(name), 'init', name);
  for (const name of ['.exit.text', '.exit.data', '.exitcall.exit']) assert.equal(phase(name), 'exit', name);
  for (const name of ['.text.init', '.text.exit', '.meminit.text', '.cpuinit.data', '.initial', '.exits'])
    assert.equal(phase(name), 'always', name);
});

test("lists that one machine's kernels read at their start are of that machine only", () => {
  const kinds = (machine: Platform, name: string): string[] => {
    const section = newSection({ name, flags: SHF.ALLOC, data: new Uint8Array(8) });
    const object = { file: 'a.o', flags: 0, osabi: 0, sections: [section], symbols: [] };
    const { machine: number, littleEndian } = machine;
    const model = readModel({ ...object, machine: number, littleEndian }, machine, new Set());
    const { class: kind, phase } = model.kindOf(section);
    return [kind, phase];
  };
  assert.deepEqual(kinds(x86_64, '.x86_cpu_dev.init'), ['registry', 'init']);
  assert.deepEqual(kinds(x86_64, '.iommu_table'), ['registry', 'always']);
  assert.deepEqual(kinds(x86_64, '.iommu_tables'), ['unknown', 'always']);
  assert.deepEqual(kinds(aarch64, '.x86_cpu_dev.init'), ['unknown', 'always']);
});
