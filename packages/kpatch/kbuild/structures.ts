/**
 * Asks the target kernel itself for what rules depend on: its own compiler reads its own headers once, and the debug
 * information of the result tells where structures have their members. A version number could not tell: vendors backport.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../base/digest.ts';
import { failure } from '../base/errors/error.ts';
import { temporaryFolder, writeAtomically } from '../base/files.ts';
import { keptDocument } from '../documents/kept.ts';
import { type DwarfType, type DwarfTypes, TAG } from '../formats/dwarf/type-record.ts';
import { readDwarfTypes } from '../formats/dwarf/types.ts';
import { ElfFile } from '../formats/elf/file.ts';
import { features, type StructureLayout, type TargetFacts } from '../platform/kernel-rules.ts';
import { readOutput } from '../sandbox/output.ts';
import { sandboxed } from '../sandbox/sandbox.ts';
import { shareFolder } from '../sandbox/user.ts';
import { cleanEnvironment, type KbuildVariables, separated } from './kbuild.ts';

/** Headers that every kernel has, and others that define structures of tables where they exist. */
const headers = [
  ...[
    'linux/module.h',
    'linux/livepatch.h',
    'linux/jump_label.h',
    'linux/bug.h',
    'linux/kallsyms.h',
    'linux/uaccess.h',
  ],
  ...['linux/extable.h', 'linux/static_call_types.h', 'linux/printk.h', 'asm/extable.h'],
];

export interface StructureQuestion {
  readonly tree: string;
  readonly variables: KbuildVariables;
  /** Names of structures. */
  readonly structures: readonly string[];
  /** More headers that define some of them, in the machine's own folder (`asm/alternative.h`); they need not exist. */
  readonly headers: readonly string[];
}

/** Raised when the answer is kept in another form. */
const FORMAT = 2;

/** A name for what is asked: a kept answer to another question does not count. */
function nameOf({ structures, headers: more }: StructureQuestion): string {
  const asked = [FORMAT, headers, more, structures, features];
  const text = JSON.stringify(asked, (_, value) => (value instanceof RegExp ? value.source : (value as unknown)));
  return sha256(text).slice(0, 16);
}

/** Like `askKernel`, kept in `folder` between calls. */
export async function targetFacts(question: StructureQuestion, folder: string): Promise<TargetFacts> {
  const file = join(folder, `structures-${nameOf(question)}.json`);
  const known = keptDocument('kpatch.target-facts', file);
  if (known !== undefined) return known;
  const facts = await askKernel(question);
  mkdirSync(folder, { recursive: true });
  writeAtomically(file, `${JSON.stringify(facts, undefined, 1)}\n`);
  return facts;
}

/**
 * Compiles one file that names every structure. Takes about a second. Error: `kernel-structures` with the compiler's
 * message.
 */
export async function askKernel(question: StructureQuestion): Promise<TargetFacts> {
  const types = await compile(question);
  const structures: Record<string, StructureLayout> = {};
  for (const name of question.structures) {
    const layout = layoutOf(types, name);
    if (layout !== undefined) structures[name] = layout;
  }
  const symbolName = [...types.types.values()].find(({ name }) => name === 'kpatch_symbol_name')?.size;
  if (symbolName === undefined) throw unreadable('the debug information of the probe is missing or of an unknown form');
  return { structures, features: featuresOf(question.tree, structures), symbolName };
}

const unreadable = (detail: string): Error => failure('kernel-structures', {}, { detail });

/** Pointers, so that a structure which the kernel does not have is not an error. */
function source({ structures, headers: more }: StructureQuestion): string {
  const includes = [...headers, ...more].map((name) => `#if __has_include(<${name}>)\n#include <${name}>\n#endif`);
  const pointers = structures.map((name) => `struct ${name} *kpatch_${name};`);
  const numbers = ['struct kpatch_symbol_name { char name[KSYM_NAME_LEN]; } kpatch_symbol_name;'];
  return `${[...includes, ...pointers, ...numbers].join('\n')}\n`;
}

async function compile(question: StructureQuestion): Promise<DwarfTypes> {
  const { tree, variables } = question;
  const { buildRoot, exported } = separated(variables);
  using folder = temporaryFolder('kpatch-structures-');
  writeFileSync(join(folder.path, 'probe.c'), source(question));
  shareFolder(folder.path);
  // The flags are words of a shell, as make would hand them to one.
  const flags = '$NOSTDINC_FLAGS $LINUXINCLUDE $KBUILD_CPPFLAGS $KBUILD_CFLAGS';
  // Code for the link, and checks that need it, would leave no object with debug information.
  const own = `-g -gdwarf-4 -w -fno-lto -fno-sanitize=all -DKBUILD_MODNAME='\\"probe\\"' -DKBUILD_BASENAME='\\"probe\\"' -D__KBUILD_MODNAME=probe`;
  const script = `eval "$CC ${flags} ${own} -c -o $OUT/probe.o $OUT/probe.c"`;
  const result = await sandboxed('sh', ['-c', script], {
    view: { readOnly: [tree], writable: [folder.path], buildRoot },
    cwd: tree,
    env: { ...cleanEnvironment(), ...exported, OUT: folder.path, TMPDIR: undefined },
    timeoutMs: 120_000,
  });
  if (result.status !== 0) throw unreadable(result.stderr.split('\n').slice(0, 30).join('\n'));
  const types = readDwarfTypes(new ElfFile(readOutput(folder.path, 'probe.o'), 'probe.o'));
  if (types === undefined) throw unreadable('the debug information of the probe is missing or of an unknown form');
  return types;
}

/** The layout of a structure; undefined if the kernel does not define it. */
function layoutOf(types: DwarfTypes, name: string): StructureLayout | undefined {
  for (const type of types.types.values()) {
    if (type.tag !== TAG.structure || type.name !== name || type.declaration || type.size === undefined) continue;
    const members: Record<string, number> = {};
    addMembers(types, type, 0, members);
    return { size: type.size, members };
  }
  return undefined;
}

/** Notes the members of a structure at a bit offset, with those of unnamed structures inside. */
function addMembers(types: DwarfTypes, type: DwarfType, start: number, members: Record<string, number>): void {
  for (const { name, bitOffset, type: key } of type.members) {
    const at = start + bitOffset;
    const inner = key === undefined ? undefined : types.types.get(key);
    if (name !== undefined) members[name] = Math.floor(at / 8);
    else if (inner !== undefined) addMembers(types, inner, at, members);
  }
}

/** Which features the kernel's structures and source show; those that neither can show are absent. */
function featuresOf(
  tree: string,
  structures: Readonly<Record<string, StructureLayout>>,
): Readonly<Record<string, boolean>> {
  const shown: Record<string, boolean> = {};
  for (const [name, { evidence }] of Object.entries(features)) {
    if ('structure' in evidence) {
      const layout = structures[evidence.structure];
      if (layout !== undefined) shown[name] = layout.members[evidence.member] !== undefined;
      continue;
    }
    const file = join(tree, evidence.file);
    if (existsSync(file)) shown[name] = evidence.text.test(readFileSync(file, 'utf8'));
  }
  return shown;
}
