/** The source and configuration of a prepared kernel, as triage asks for them. */
import { existsSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import type { Built, KernelCode } from '../../advisory/triage/kernel.ts';
import type { IncludeGraph } from '../../kbuild/include-graph.ts';
import type { ObjectMap } from '../../kbuild/object-map.ts';
import { platforms } from '../../platform/registry.ts';
import type { KernelFacts } from '../../prepare/facts.ts';

/**
 * Reads the object map and the include graph of a kernel, which takes seconds the first time. Errors: `makefiles-unreadable`.
 */
export async function preparedCode(facts: KernelFacts): Promise<KernelCode> {
  const { tree } = facts.kernel.paths;
  const [objects, includes] = await Promise.all([facts.objects(), facts.includes()]);
  return codeOf(tree, objects, includes);
}

/** The same for a tree whose object map and include graph are at hand. */
export function codeOf(tree: string, objects: ObjectMap, includes: Pick<IncludeGraph, 'reaching'>): KernelCode {
  const known = new Map<string, Built>();
  return {
    text(path) {
      const file = join(tree, path);
      if (!isSourcePath(path) || !existsSync(file)) return undefined;
      return readFileSync(file, 'latin1');
    },
    built(path) {
      const before = known.get(path);
      if (before !== undefined) return before;
      const answer = builtIn(path, tree, objects, includes);
      known.set(path, answer);
      return answer;
    },
  };
}

function isSourcePath(path: string): boolean {
  return !path.startsWith('/') && !normalize(path).startsWith('..');
}

function builtIn(path: string, tree: string, objects: ObjectMap, includes: Pick<IncludeGraph, 'reaching'>): Built {
  if (!isSourcePath(path)) return { state: 'unknown', reason: 'a name in the record is not a path in the source' };
  if (!/\.[chS]$/.test(path)) return { state: 'unknown', reason: `${path} is not a C or assembler file` };
  // The flaw may be in another file of this kernel: files are renamed and split.
  if (!existsSync(join(tree, path))) return { state: 'unknown', reason: `the source of this kernel has no ${path}` };
  const own = ownersOf(path, objects);
  if (own.length > 0 && !path.endsWith('.h')) return { state: 'built', objects: own };
  const through = new Set([...includes.reaching([path])].flatMap((unit) => ownersOf(unit, objects)));
  if (through.size > 0) return { state: 'built', objects: [...through].sort() };
  return { state: 'not built', reason: `${path} is not compiled for this kernel, nor is any file that includes it` };
}

function ownersOf(path: string, objects: ObjectMap): string[] {
  return (objects.get(path.replace(/\.[cS]$/, '.o')) ?? []).map(({ object }) => object);
}

/** What the machine alone tells: code of other machines is not compiled. `arch` is as `uname -m` prints it. */
export function machineCode(arch: string): KernelCode {
  const own = platforms().find(({ naming }) => naming.uname === arch)?.naming.source;
  return {
    text: () => undefined,
    built(path) {
      const folder = /^arch\/([^/]+)\//.exec(path)?.[1];
      const others = platforms().map(({ naming }) => naming.source);
      if (own !== undefined && folder !== undefined && folder !== own && others.includes(folder))
        return { state: 'not built', reason: `${path} is for another machine` };
      return { state: 'unknown', reason: 'the source of this kernel is not prepared here' };
    },
  };
}
