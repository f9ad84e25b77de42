/**
 * Constants that kbuild computes from structures for assembly and other headers (asm-offsets.h, bounds.h). All code of the
 * running kernel was compiled with the old values, so a patch that changes one is refused.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { includeGraph, includeSearch } from '../../kbuild/include-graph.ts';
import { type KbuildVariables, submake } from '../../kbuild/kbuild.ts';
import { SourceOverlay } from '../../kbuild/overlay.ts';
import type { KernelFacts } from '../../prepare/facts.ts';
import { readOutput } from '../../sandbox/output.ts';

export interface Generator {
  readonly source: string;
  /** Where the vendor's values are; undefined if kbuild only makes the header beside what uses it. */
  readonly header?: string;
}

/** What computes constants of a kernel. `read` gives the text of a file of the tree, or undefined. */
export function generatorsOf(
  sourceArch: string,
  objects: Iterable<string>,
  read: (path: string) => string | undefined,
): Generator[] {
  const known = [
    { source: 'kernel/bounds.c', header: 'include/generated/bounds.h' },
    { source: `arch/${sourceArch}/kernel/asm-offsets.c`, header: 'include/generated/asm-offsets.h' },
    // Since Linux 6.19.
    { source: 'kernel/sched/rq-offsets.c', header: 'include/generated/rq-offsets.h' },
  ];
  // kvm/kvm-asm-offsets.c, hyperv/mshv-asm-offsets.c: made and compiled only for assembly beside them that is part of the kernel.
  const beside = new Set<string>();
  for (const object of objects) {
    if (!object.startsWith(`arch/${sourceArch}/`)) continue;
    const [, name] =
      /^#\s*include\s+"(?:\.\.\/)*([\w-]+-asm-offsets)\.h"/m.exec(read(object.replace(/o$/, 'S')) ?? '') ?? [];
    if (name === undefined) continue;
    const folders = [dirname(object), dirname(dirname(object))];
    const folder = folders.find((one) => read(`${one}/${name}.c`) !== undefined);
    if (folder !== undefined) beside.add(`${folder}/${name}.c`);
  }
  return [
    ...known.filter(({ source }) => read(source) !== undefined),
    ...[...beside].sort().map((source) => ({ source })),
  ];
}

/**
 * Compares the values of the patched source with those of the kernel. `folder` is for an overlay of the unpatched source.
 * Errors: `generated-changed`, `compile-failed`.
 */
export async function checkOffsets(
  facts: KernelFacts,
  patched: SourceOverlay,
  files: readonly string[],
  folder: string,
): Promise<void> {
  const { tree } = facts.kernel.paths;
  const variables = await facts.variables();
  const search = includeSearch(variables);
  // Most patches change neither headers nor one of these files and do not need the include graph.
  if (!files.some((file) => !file.endsWith('.c') || /\b(?:bounds|[\w-]+-offsets)\.c$/.test(file))) return;
  const generators = generatorsOf(search.sourceArch, (await facts.objects()).keys(), (path) =>
    textOf(join(tree, path)),
  );
  const graph = await includeGraph(tree, search, (await facts.objects()).keys(), facts.derived);
  const reached = graph.reaching(files);
  for (const { source, header } of generators.filter((generator) => reached.has(generator.source))) {
    const now = await valuesOf(patched, source, variables, 'after');
    const before =
      header !== undefined && existsSync(join(tree, header))
        ? definitionsOf(readFileSync(join(tree, header), 'latin1'))
        : await valuesOf(unpatched(tree, folder), source, variables, 'before');
    const name = [...new Set([...before.keys(), ...now.keys()])].find((one) => before.get(one) !== now.get(one));
    if (name === undefined) continue;
    const [was = 'undefined', found = 'undefined'] = [before.get(name), now.get(name)];
    throw failure('generated-changed', { header: header ?? source, name, was, found }, { where: { file: source } });
  }
}

function textOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'latin1') : undefined;
}

function unpatched(tree: string, folder: string): SourceOverlay {
  mkdirSync(folder, { recursive: true });
  return new SourceOverlay(tree, folder);
}

/** Compiles the source to assembly as kbuild does and reads the values from it (scripts/Makefile.lib, filechk_offsets). */
async function valuesOf(
  overlay: SourceOverlay,
  source: string,
  variables: KbuildVariables,
  when: 'before' | 'after',
): Promise<Map<string, string>> {
  const directory = dirname(source);
  overlay.open(directory);
  const output = source.replace(/c$/, 's');
  const args = ['-f', 'scripts/Makefile.build', `obj=${directory}`, 'need-builtin=1', output];
  const { status, stderr } = await submake(overlay.root, variables, args, {
    view: { readOnly: [overlay.tree], writable: [overlay.root] },
  });
  if (status !== 0)
    throw failure('compile-failed', { unit: output, when }, { where: { file: source }, detail: stderr.trim() });
  const values = new Map<string, string>();
  const text = readOutput(overlay.root, output).toString('latin1');
  for (const [, name, value] of text.matchAll(/^\s*\.ascii\s*"->([^#\s]\S*) [$#]*(\S*) /gm)) values.set(name!, value!);
  return values;
}

function definitionsOf(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^#define (\S+) (\S+) \/\*/gm)].map(([, name, value]) => [name!, value!]));
}
