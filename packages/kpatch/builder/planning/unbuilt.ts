/** What is known of the source that kbuild does not compile for a kernel, from its Makefiles, configuration and include lines. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ObjectMap } from '../../kbuild/object-map.ts';
import type { SourceOverlay } from '../../kbuild/overlay.ts';
import { objectOf } from '../../kbuild/unit.ts';
import type { KernelFacts } from '../../prepare/facts.ts';
import { isNoCode, type SourcePatch } from '../../source/patch.ts';
import { tokensOf, withoutComments } from '../../source/reach/c-text.ts';
import { Configured, imagePart } from '../rules/configured.ts';
import { isForeign } from '../rules/makefiles.ts';
import type { LeftOut, Unbuilt } from './plan.ts';

/** Looks at the patched tree, because a patch can add a file together with its line in a Makefile. */
export function unbuiltOf(objects: ObjectMap, facts: KernelFacts, patched: SourceOverlay): Unbuilt {
  let configured: Configured | undefined;
  return {
    missing(file) {
      configured ??= new Configured({
        read: (path) => textOf(join(patched.root, path)) ?? textOf(join(facts.kernel.paths.tree, path)),
        option: (name) => facts.config.get(name),
      });
      return configured.missing(file);
    },
    async users(file) {
      const graph = await facts.includes();
      const sources = [...graph.reaching([file])].filter((path) => path !== file && /\.[cS]$/.test(path));
      return sources
        .filter((path) => !objects.has(objectOf(path)) && !isNoCode(path) && !isForeign(path, objects))
        .sort();
    },
  };
}

/**
 * The changed files that code outside kbuild's lists of objects includes (boot code, vdso): it can change although no unit does.
 * Changes of comments and white space do not count.
 */
export async function usedElsewhere(
  patches: readonly SourcePatch[],
  leftOut: readonly LeftOut[],
  { missing, users }: Unbuilt,
  patched: SourceOverlay,
): Promise<LeftOut[]> {
  const out = new Set(leftOut.map(({ file }) => file));
  const files = [...new Set(patches.flatMap((patch) => patch.files.map(({ path }) => path)))];
  const found: LeftOut[] = [];
  for (const file of files) {
    if (out.has(file)) continue;
    if (sameTokens(textOf(join(patched.tree, file)), textOf(join(patched.root, file)))) continue;
    const user = (await users(file)).find((path) => partOf(path) !== undefined && missing(path) === undefined);
    if (user !== undefined) found.push({ file, reason: `${user} uses it, which is ${partOf(user)}` });
  }
  return found;
}

function partOf(user: string): string | undefined {
  return user.endsWith('.lds.S') ? 'a linker script' : imagePart(user);
}

function sameTokens(before: string | undefined, after: string | undefined): boolean {
  if (before === undefined || after === undefined) return false;
  const lines = (text: string): string => {
    const tokens = withoutComments(text)
      .split('\n')
      .map((line) => tokensOf(line).join(' '));
    return tokens.filter((line) => line !== '').join('\n');
  };
  return lines(before) === lines(after);
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
