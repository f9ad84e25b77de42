/** The units through which a patched file that is not itself a unit comes into the kernel. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { plural } from '../base/errors/plural.ts';
import type { Reporter } from '../base/report.ts';
import type { IncludeGraph } from '../kbuild/include-graph.ts';
import type { SourceOverlay } from '../kbuild/overlay.ts';
import { objectOf } from '../kbuild/unit.ts';
import type { KernelFacts } from '../prepare/facts.ts';
import { HeaderReach, type Reach } from '../source/reach/reach.ts';
import type { Includers } from './plan.ts';

/** Data of the kernel tree that is read once for all changed files; the overlay has the patches applied. */
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
    if (!file.endsWith('.h')) return [...graph.reaching([file])].filter((path) => path !== file);
    const change = { file, before: textOf(join(tree, file)), after: textOf(join(patched.root, file)) };
    const found = await reach.of(change);
    report.note(describeReach(found));
    if (found.units.length > 0) return found.units.map(({ source }) => source);
    // Comparing one of them shows that the code is unchanged.
    const objects = await facts.objects();
    const includers = [...graph.reaching([file])].filter((path) => objects.has(objectOf(path)));
    return includers
      .filter((path) => path.endsWith('.c') && !graph.isGenerated(path))
      .sort()
      .slice(0, 1);
  };
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
