/** Rewrites source patches against the source of a kernel. */
import { failure, type KpatchError } from '../base/errors/error.ts';
import type { KernelFacts } from '../prepare/facts.ts';
import { changedFiles } from '../review/patches.ts';
import type { SourcePatch } from '../source/patch.ts';
import type { RuleNote } from './draft.ts';
import { kernelSurroundings } from './kernel-surroundings.ts';
import { type Rewritten, rewriteFiles, rules } from './rewrite.ts';

/** Rules that apply by default; a jump label is rewritten only where the build refuses it, because the test costs time. */
const usual = rules.map(({ name }) => name).filter((name) => name !== 'jump-label');

/** Which rules can help against which refusal of a build. */
const helpful: Readonly<Record<string, readonly string[]>> = {
  'diff-data-changed': ['id-table', 'initial-data', 'operations'],
  'diff-data-size': ['id-table'],
  'diff-init-changed': ['init-part'],
  'diff-layout-changed': ['stack-structure', 'kept-member', 'padding', 'shared-lock', 'shadow-member'],
  'diff-key-module': ['jump-label'],
  'diff-key-early': ['jump-label'],
};

/** The rules that can help against any of the reasons that a refusal of a build names; empty if none can. */
export function rulesAgainst({ code, detail }: Pick<KpatchError, 'code' | 'detail'>): readonly string[] {
  const codes = [code, ...[...(detail ?? '').matchAll(/\[(diff-[a-z-]+)\]/g)].map(([, one]) => one!)];
  return [...new Set(codes.flatMap((one) => helpful[one] ?? []))];
}

/** True if the refusal names the structure, table, variable or function that the note is about. */
function isAbout({ rule, name }: RuleNote, { message, detail }: Pick<KpatchError, 'message' | 'detail'>): boolean {
  // It names the section and `init_module`, not the function.
  if (rule === 'init-part') return true;
  const subject = /^(?:struct )?(\w+)/.exec(name)?.[1];
  return subject === undefined || new RegExp(`\\b${subject}\\b`).test(`${message}\n${detail ?? ''}`);
}

/**
 * Rewrites the patches into one, which applies after those in `earlier`. With the refusal of a build, what a rule cannot rewrite counts
 * only if that refusal is about it: the next build judges the rest. Errors: `usage` for an unknown rule, `rewrite-nothing`,
 * `rewrite-refused` with the reasons, those of placing and applying patches.
 */
export async function rewritePatches(
  facts: KernelFacts,
  patches: readonly SourcePatch[],
  folder: string,
  names: readonly string[] = usual,
  { earlier = [], refusal }: { readonly earlier?: readonly SourcePatch[]; readonly refusal?: KpatchError } = {},
): Promise<Rewritten> {
  const unknown = names.find((name) => !rules.some((rule) => rule.name === name));
  const known = rules.map(({ name }) => name).join(', ');
  if (unknown !== undefined) throw failure('usage', { problem: `unknown rule '${unknown}': choose from ${known}` });
  const files = await changedFiles(facts, patches, folder, earlier);
  const rewritten = rewriteFiles(files, names, await kernelSurroundings(facts, files, folder));
  const notes = rewritten.notes.filter(
    (note) => note.outcome === 'applied' || refusal === undefined || isAbout(note, refusal),
  );
  const refused = notes.filter(({ outcome }) => outcome === 'refused');
  const [first] = refused;
  if (first !== undefined) {
    const detail = refused.map(({ rule, name, text }) => `${rule}: ${name}: ${text}`).join('\n');
    throw failure(
      'rewrite-refused',
      { name: first.name, problem: first.text },
      { where: { file: first.file }, detail },
    );
  }
  const [only] = notes;
  if (only === undefined) throw failure('rewrite-nothing', {});
  if (!/^--- /m.test(rewritten.patch)) {
    const problem = `${only.text}, and nothing else is left of the patch`;
    throw failure('rewrite-refused', { name: only.name, problem }, { where: { file: only.file } });
  }
  return { ...rewritten, notes };
}
