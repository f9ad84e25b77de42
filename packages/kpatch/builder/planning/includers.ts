/** The units through which a patched file that is not itself a unit comes into the kernel. */

import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { plural } from '../../base/errors/plural.ts';
import type { Reporter } from '../../base/report.ts';
import type { IncludeGraph } from '../../kbuild/include-graph.ts';
import type { SourceOverlay } from '../../kbuild/overlay.ts';
import { objectOf } from '../../kbuild/unit.ts';
import type { KernelFacts } from '../../prepare/facts.ts';
import { HeaderReach, type Reach } from '../../source/reach/reach.ts';
import { refuseGeneratorInput } from '../rules/generators.ts';
import type { Includers } from './plan.ts';

/**
 * What of a kernel's tree is read once for all changed files; the overlay has the patches applied.
 * Error: `source-kind-unsupported` for a header from which code is generated.
 */
export function includersOf(facts: KernelFacts, patched: SourceOverlay, report: Reporter): Includers {
  const { tree } = facts.kernel.paths;
  let read: Promise<{ graph: IncludeGraph; reach: HeaderReach }> | undefined;
  const load = async (): Promise<{ graph: IncludeGraph; reach: HeaderReach }> => {
    const objects = await facts.objects();
    const graph = await facts.includes();
    return { graph, reach: new HeaderReach(tree, graph, objects, facts.derived) };
  };
  return async (file) => {
    read ??= load();
    const { graph, reach } = await read;
    refuseGeneratorInput(file, graph, (path) => textOf(join(tree, path)) ?? '');
    const users = newUsers(file, patched);
    if (!file.endsWith('.h')) return [...graph.reaching([file, ...users])].filter((path) => path !== file);
    const change = { file, before: textOf(join(tree, file)), after: textOf(join(patched.root, file)) };
    const found = await reach.of(change, users);
    const sources = new Set([...found.units.map(({ source }) => source), ...users]);
    if (found.units.length > 0 || users.length === 0) report.note(describeReach(found));
    if (sources.size > 0) return [...sources];
    // Comparing one of them shows that the code is unchanged.
    const objects = await facts.objects();
    const includers = [...graph.reaching([file])].filter((path) => objects.has(objectOf(path)));
    return includers
      .filter((path) => path.endsWith('.c') && !graph.isGenerated(path))
      .sort()
      .slice(0, 1);
  };
}

/**
 * The files that include `file` only since the patches, directly or through other changed files: the graph of the unpatched
 * tree does not know them.
 */
function newUsers(file: string, patched: SourceOverlay): string[] {
  const changed = [...patched.copies].filter((path) => /\.(?:[chS]|inc)$/.test(path));
  const added = changed.flatMap((path) => {
    const before = new Set(includesOf(textOf(join(patched.tree, path)) ?? ''));
    const after = includesOf(textOf(join(patched.root, path)) ?? '');
    return after.filter((name) => !before.has(name)).map((name) => ({ path, name }));
  });
  const found = new Set([file]);
  for (const target of found) {
    // A set's walk meets what is added to it.
    for (const { path, name } of added) if (target === name || target.endsWith(`/${name}`)) found.add(path);
  }
  found.delete(file);
  return [...found];
}

/** The names in the include lines of a text, without `../` before them. */
function includesOf(text: string): string[] {
  const lines = text.matchAll(/^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]/gm);
  return Array.from(lines, ([, name]) => posix.normalize(name!).replace(/^(?:\.\.\/)+/, ''));
}

/** One line for people: how many units include the header, how many of them are compiled, and why. */
export function describeReach({ file, units, includers, whole, names }: Reach): string {
  if (includers === 0) return `${file}: no compilation unit of this kernel includes it`;
  if (whole !== undefined) return `${file}: compiling all ${plural(includers, 'unit')} that include it (${whole})`;
  if (names.length === 0)
    return `${file}: only comments or white space change for the ${plural(includers, 'unit')} that include it`;
  const others = names.length > 4 ? ` and ${names.length - 4} more` : '';
  return `${file}: compiling ${units.length} of the ${plural(includers, 'unit')} that include it, which use what changes (${names.slice(0, 4).join(', ')}${others})`;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
