/**
 * The units that decide first. Nearly all changes of structures in headers are refused, because objects with the old layout exist
 * already. One unit that uses the structure shows it; following the change through all headers takes minutes, and thousands of
 * units may include them. So a few small units are compiled and compared before that.
 */
import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run } from '../../base/run.ts';
import type { SourceOverlay } from '../../kbuild/overlay.ts';
import { objectOf, type Unit } from '../../kbuild/unit.ts';
import type { KernelFacts } from '../../prepare/facts.ts';
import { changedStructures } from '../../source/reach/header-change.ts';

export interface Deciding {
  /** Like `struct pid`. */
  readonly structures: readonly string[];
  readonly units: readonly Unit[];
}

/** With fewer units than this, compiling all of them takes no longer. */
const FEW = 8;
/** How many units decide: one may use only a pointer. */
const COUNT = 2;
/** How many files are searched at once; those that are most likely to use the structure come first. */
const CHUNK = 600;

/** Units that use the structures which the patched headers change; undefined if there are none, or few units at all. */
export async function decidingUnits(facts: KernelFacts, patched: SourceOverlay): Promise<Deciding | undefined> {
  const { tree } = facts.kernel.paths;
  const changes = [...patched.copies]
    .filter((file) => file.endsWith('.h'))
    .map((file) => ({
      file,
      structures: changedStructures({ file, before: textOf(tree, file), after: textOf(patched.root, file) }),
    }))
    .filter(({ structures }) => structures.length > 0);
  if (changes.length === 0) return undefined;
  const [objects, graph] = await Promise.all([facts.objects(), facts.includes()]);
  const units: Unit[] = [];
  for (const { file, structures } of changes) {
    const sources = [...graph.reaching([file])].filter((path) => path.endsWith('.c') && objects.has(objectOf(path)));
    if (sources.length < FEW) continue;
    const plain = sources.filter((path) => !graph.isGenerated(path));
    // What the patch itself changes nearly always has a changed function, without which a layout decides nothing.
    const edited = plain.filter((path) => patched.copies.has(path)).slice(0, COUNT);
    const users = await usersOf(tree, structures, likelyFirst(file, plain));
    for (const source of new Set([...edited, ...users])) {
      const object = objectOf(source);
      if (!units.some((unit) => unit.object === object))
        units.push({ object, owners: objects.get(object)!, through: [file] });
    }
  }
  if (units.length === 0) return undefined;
  return { structures: [...new Set(changes.flatMap(({ structures }) => structures))], units };
}

/** Sources in the order in which they are searched: of the header's own name or folder, core code, drivers. */
function likelyFirst(header: string, sources: readonly string[]): string[] {
  const own = basename(header, '.h');
  const folder = header.replace(/\/[^/]*$/, '/').replace(/^include\/\w+\//, '');
  const rank = (path: string): number => {
    if (basename(path, '.c') === own) return 0;
    if (path.startsWith(folder)) return 1;
    return /^(?:kernel|mm|fs|ipc|block|security|net\/core|virt|arch\/\w+\/(?:kernel|kvm|mm))\//.test(path) ? 2 : 3;
  };
  return sources
    .map((path) => ({ path, rank: rank(path) }))
    .sort((a, b) => a.rank - b.rank || (a.path < b.path ? -1 : 1))
    .map(({ path }) => path);
}

/** The smallest sources of the first files that mention one of the structures at least twice. */
async function usersOf(tree: string, structures: readonly string[], sources: readonly string[]): Promise<string[]> {
  const pattern = `\\b(${structures.join('|')})\\b`;
  for (let from = 0; from < sources.length; from += CHUNK) {
    const files = sources.slice(from, from + CHUNK);
    const { stdout } = await run('grep', ['-cE', '-e', pattern, '--', ...files, '/dev/null'], { cwd: tree });
    const found = [...stdout.toString().matchAll(/^(.*):(\d+)$/gm)].flatMap(([, path, count]) =>
      Number(count) >= 2 ? [{ path: path!, size: statSync(join(tree, path!)).size }] : [],
    );
    if (found.length === 0) continue;
    return found
      .sort((a, b) => a.size - b.size)
      .slice(0, COUNT)
      .map(({ path }) => path);
  }
  return [];
}

function textOf(root: string, file: string): string | undefined {
  try {
    return readFileSync(join(root, file), 'latin1');
  } catch {
    return undefined;
  }
}
