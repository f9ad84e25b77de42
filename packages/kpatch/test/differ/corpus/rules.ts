/**
 * The rules of the differ, where each exists, and which cases show it. The table in docs/differ-rules.md is printed from
 * this and from what the tests run, so a rule without a case on an architecture is seen there and fails the test.
 */
import { sha256 } from '#kpatch/base/digest.ts';
import { catalogue } from '#kpatch/base/errors/entries/all.ts';
import { type CasePair, cases, pairsOf } from './pairs.ts';
import { type Target, targets } from './targets.ts';

type Arch = Target['arch'];

interface Rule {
  readonly group: 'Correlation' | 'Comparison' | 'Source lines' | 'Special sections' | 'Extraction' | 'Refusals';
  readonly text: string;
  /** Matches the names of the cases that show it. */
  readonly cases: RegExp;
  /** Where it exists (default: everywhere). */
  readonly on?: readonly Arch[];
}

const architectures: readonly Arch[] = ['x86-64', 'ppc64le', 's390x', 'aarch64', 'loongarch64'];
const x86: readonly Arch[] = ['x86-64'];
const power: readonly Arch[] = ['ppc64le'];
const z: readonly Arch[] = ['s390x'];

const correlation: readonly [string, RegExp, (readonly Arch[])?][] = [
  ['`.isra.N`, `.constprop.N`, `.part.N`, several of them', /several suffixes|isra/],
  ['`.llvm.N`', /digest of the file/],
  ['cold parts: a change, one that comes, one that goes', /cold part/],
  ['`.cold.N`, cold parts in one section', /cold part with a number|other numbers of cold|cold parts of all/],
  ['static locals `name.N`: other numbers, other order', /static variable|static locals/],
  ['several static locals with the same name in a function', /two static variables of one name/],
  ['`__func__.N`', /__func__|names of functions/],
  ['`__already_done.N` and its like', /flag of WARN_ONCE|initial value of a variable that is called/],
  ['`__UNIQUE_ID_*`', /unique names/],
  ['`__pfx_*`', /objtool has named/, x86],
  ['constants without a name', /structure without a name|structure that comes|constants of one size/],
  ['strings by content, of all widths', /string/],
  ['section symbols: the object they point into', /neighbour|change places|new variable before/],
  ['global turned static, and back', /becomes static|becomes global/, ['x86-64', 's390x', 'aarch64', 'loongarch64']],
  ['functions bundled in one section', /functions in a section|shares its section/],
  ['functions and variables in another order', /in another order|another compiler order/],
];

const comparison: readonly [string, RegExp, (readonly Arch[])?][] = [
  ['bodies, callees, pointers', /another constant|another function is called|pointer to another function/],
  ['elements and addends', /another element|addend/],
  ['switch tables, computed goto', /switch|computed goto/],
  ['asm goto', /asm goto/],
  ['inline assembly', /inline assembly/],
  ['weak functions, aliases', /weak function|alias|two names/],
  ['position-independent code (GOT)', /position-independent/, ['s390x', 'loongarch64']],
  ['debug information', /debug information alone/],
];

const lines: readonly [string, RegExp, (readonly Arch[])?][] = [
  ['WARN, BUG', /lines: WARN_ON/],
  ['might_sleep', /lines: might_sleep/],
  ['lockdep', /suspicious RCU/],
  ['RTNL asserts', /ASSERT_RTNL/],
  ['`_once` machinery', /WARN_ONCE with a format/],
  ['dynamic debug', /lines: pr_debug|older kernels have it/],
  ['UBSAN', /checks of UBSAN/],
  ['fortified memcpy', /fortified/],
  ['tags of allocations', /tags of allocations/],
  [
    'what looks like a line and is none',
    /goes anywhere else|is returned|looks like a line|register of the line|beside a line/,
  ],
  ['lines count where asked for', /lines count/],
];

const sections: readonly [string, RegExp, (readonly Arch[])?][] = [
  ['`.altinstructions`, `.altinstr_replacement`', /alternative/, ['x86-64', 's390x', 'aarch64', 'loongarch64']],
  ['`.altinstr_aux`', /altinstr_aux/, x86],
  ['`.parainstructions`', /paravirt/, x86],
  ['`.smp_locks`', /lock prefix/, x86],
  ['`__bug_table`', /bug entry|WARN_ON that comes|bug table/],
  ['`__ex_table`', /exception table|after a fault|kind of fixup/],
  ['`.fixup`', /\.fixup/],
  ['`__jump_table`', /jump label/],
  ['`.static_call_sites`', /static call/, x86],
  ['`.static_call.text`', /trampoline of a static call/, x86],
  ['`.retpoline_sites`', /retpoline_sites/, x86],
  ['`.return_sites`', /\.return_sites/, x86],
  ['`.call_sites`', /\.call_sites/, x86],
  ['`.cfi_sites`', /\.cfi_sites/, x86],
  ['`.ibt_endbr_seal`', /ibt_endbr_seal|sealed/, x86],
  ['`.orc_unwind`, `.orc_unwind_ip`', /orc_unwind/, ['x86-64', 'loongarch64']],
  ['`.kcfi_traps`, `__kcfi_traps`', /kcfi_traps|kCFI/, ['x86-64', 'aarch64']],
  ['`__mcount_loc`, `__patchable_function_entries`', /place of ftrace/],
  ['`__tracepoints`', /tracepoint/],
  ['`__dyndbg`', /pr_debug/],
  ['`__verbose`', /__verbose/],
  ['`.printk_index`', /index/],
  ['`alloc_tags`', /allocation/],
  ['`__ftr_fixup`', /feature section|alternative/, power],
  ['`__mmu_ftr_fixup`, `__fw_ftr_fixup`', /mmu_ftr|fw_ftr/, power],
  ['`__lwsync_fixup`, `__*_flush_fixup`, `__barrier_nospec_fixup`', /place of __/, power],
  ['`__btb_flush_fixup`', /btb_flush/, power],
  ['`.toc`', /./, power],
  ['`.s390_indirect*`', /s390_indirect|expolines/, z],
  ['`.s390_return*`', /s390_return|expolines/, z],
  ['expoline thunks', /thunk/, z],
  ['`__stack_protector_loc`', /stack protector/, z],
  ['an unknown section', /nobody knows/],
];

const extraction: readonly [string, RegExp, (readonly Arch[])?][] = [
  ['new functions and data, and what they need', /new static function|new variable|new table of operations/],
  ['a pointer to a changed function stays the original’s', /stays that of the original/],
  [
    'a function that no pointer could enter before',
    /none could be called|that the kernel has sealed/,
    ['x86-64', 'aarch64'],
  ],
  ['sympos of a name that occurs several times', /kernel has twice/],
  ['a read-only table travels with its functions', /table of numbers of two|string that only a table/],
  ['init and exit parts are left out', /init code of the kernel image|init data of the kernel/],
  ['what was of init is gone', /needed later/],
  ['a function without an ftrace entry travels with its callers', /travels with its callers/],
  ['a copy of what a call cannot leave the module for', /takes its callee along/, power],
  ['exports and their namespaces', /namespace/],
  ['callbacks', /callback of the patch/],
];

const rules: readonly Rule[] = [
  ...ruleList('Correlation', correlation),
  ...ruleList('Comparison', comparison),
  ...ruleList('Source lines', lines),
  ...ruleList('Special sections', sections),
  ...ruleList('Extraction', extraction),
];

function ruleList(group: Rule['group'], list: readonly [string, RegExp, (readonly Arch[])?][]): Rule[] {
  return list.map(([text, cases, on]) => ({ group, text, cases, ...(on === undefined ? {} : { on }) }));
}

/** Refusals that are not about a machine, which other tests provoke once; and where those exist that are. */
const elsewhere =
  /^diff-(?:machines|function-unknown|include-unknown|entry-size|relocation-unknown|code-bound|reference-inner|symbol-missing|table-late|lto|unrelated|no-code|left-out)$/;
const refusalsOn: Readonly<Record<string, readonly Arch[]>> = {
  'diff-sealed': x86,
  'diff-reference-ambiguous': ['x86-64', 's390x', 'aarch64'],
};

type Shows = (pair: CasePair) => boolean;

function countsOf(shows: Shows): ReadonlyMap<Arch, number> {
  const counts = new Map<Arch, number>();
  for (const pair of pairsOf(false)) {
    const { arch } = pair.target;
    if (shows(pair)) counts.set(arch, (counts.get(arch) ?? 0) + 1);
  }
  return counts;
}

interface Row {
  readonly group: Rule['group'];
  readonly text: string;
  readonly on: readonly Arch[];
  readonly shows: Shows;
}

function rows(): readonly Row[] {
  const refusals = Object.keys(catalogue).filter((code) => code.startsWith('diff-') && !elsewhere.test(code));
  return [
    ...rules.map(({ group, text, cases, on = architectures }) => ({
      group,
      text,
      on,
      shows: ({ one }: CasePair) => cases.test(one.name),
    })),
    ...refusals.map((code) => ({
      group: 'Refusals' as const,
      text: `\`${code}\``,
      on: refusalsOn[code] ?? architectures,
      shows: ({ one, target }: CasePair) => {
        const expected = typeof one.expect === 'function' ? one.expect(target) : one.expect;
        return expected === code;
      },
    })),
  ];
}

/** The rules that no case shows on an architecture where they exist. */
export function missing(): readonly string[] {
  return rows().flatMap(({ text, on, shows }) => {
    const counts = countsOf(shows);
    return on.filter((arch) => (counts.get(arch) ?? 0) === 0).map((arch) => `${text} on ${arch}`);
  });
}

/** Every case that is about it is compiled for this target in every run: the machine that most hosts have. */
const first = targets[1]!;

/**
 * What one run of the tests takes of the table: every case, on the first target where it is about that; every rule on every
 * architecture where it exists; and each case once more. What there is a choice of, the seed draws.
 */
export function drawn(seed: number): readonly CasePair[] {
  const all = inOrderOf(pairsOf(false), seed);
  const taken = new Set(all.filter(({ target }) => target === first));
  const takeOne = (shows: Shows): void => {
    for (const pair of all) {
      if (taken.has(pair) || !shows(pair)) continue;
      taken.add(pair);
      return;
    }
  };
  for (const { on, shows } of rows())
    for (const arch of on) {
      const fits: Shows = (pair) => pair.target.arch === arch && shows(pair);
      if (![...taken].some(fits)) takeOne(fits);
    }
  for (const one of cases) takeOne((pair) => pair.one === one);
  return [...taken];
}

/** The list in an order that is the same for the same seed. */
function inOrderOf(list: readonly CasePair[], seed: number): readonly CasePair[] {
  const place = (pair: CasePair): string => sha256(`${seed} ${pair.one.name} ${pair.target.name}`);
  return list
    .map((pair) => [place(pair), pair] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, pair]) => pair);
}

/** docs/differ-rules.md. */
export function rulesDocument(): string {
  const all = rows();
  const pairs = pairsOf(false).length;
  const parts = [...new Set(all.map(({ group }) => group))].map((group) => {
    const lines = all
      .filter((row) => row.group === group)
      .map(({ text, on, shows }) => {
        const counts = countsOf(shows);
        const cells = architectures.map((arch) => (on.includes(arch) ? String(counts.get(arch) ?? 0) : '–'));
        return `| ${text} | ${cells.join(' | ')} |`;
      });
    return [`## ${group}`, '', `| | ${architectures.join(' | ')} |`, '|---|---|---|---|---|---|', ...lines, ''].join(
      '\n',
    );
  });
  return `# What the tests show of the differ

Printed by \`make docs\` from the corpus (\`test/differ/corpus/rules.ts\`): how many of its ${pairs} pairs of objects show each rule on each
architecture; – where the rule does not exist. Properties (\`test/differ/properties.test.ts\`) and mutated objects (\`make fuzz\`) go over
all targets of the corpus. Refusals that are about no machine are provoked once each (\`test/differ/refusals.test.ts\`,
\`test/differ/objects.test.ts\`, \`test/differ/author.test.ts\`).

${parts.join('\n')}`;
}
