/** Applies the rules to the changed files, and writes the result as a patch. */
import { createTwoFilesPatch } from 'diff';
import type { FileChange } from '../review/change.ts';
import { Draft, type Rule, type RuleNote } from './draft.ts';
import { idTable } from './rules/id-table.ts';
import { initPart } from './rules/init-part.ts';
import { initialData } from './rules/initial-data.ts';
import { jumpLabel } from './rules/jump-label.ts';
import { keptMember } from './rules/kept-member.ts';
import { operations } from './rules/operations.ts';
import { padding } from './rules/padding.ts';
import { shadowMember } from './rules/shadow-member.ts';
import { sharedLock } from './rules/shared-lock.ts';
import { stackStructure } from './rules/stack-structure.ts';
import { onlyFiles, type Surroundings } from './surroundings.ts';

export const rules: readonly Rule[] = [
  idTable,
  initPart,
  initialData,
  operations,
  stackStructure,
  keptMember,
  padding,
  sharedLock,
  shadowMember,
  jumpLabel,
];

export interface Rewritten {
  /** The patch that has the same effect; the files that no rule touches are as they were. */
  readonly patch: string;
  readonly notes: readonly RuleNote[];
}

/** Rewrites the files with the rules of these names (default: all). */
export function rewriteFiles(
  files: readonly FileChange[],
  names: readonly string[] = rules.map(({ name }) => name),
  surroundings: Surroundings = onlyFiles(files.map(({ file, after }) => ({ file, text: after }))),
): Rewritten {
  const drafts = files.map(({ file, before, after }) => new Draft(file, before, after, surroundings));
  const code = drafts.filter(({ file }) => /\.[ch]$/.test(file));
  for (const rule of rules.filter(({ name }) => names.includes(name))) {
    if ('applyAll' in rule) rule.applyAll(code);
    else for (const draft of code) rule.apply(draft);
  }
  const notes = drafts.flatMap((draft) => draft.conclusions());
  const parts = drafts.map((draft) => diffOf(draft.file, draft.before, draft.finish()));
  const used = [...new Set(notes.filter(({ outcome }) => outcome === 'applied').map(({ rule }) => rule))];
  const head = used.length === 0 ? '' : `Rewritten by kpatch rewrite: ${used.join(', ')}\n---\n`;
  return { patch: head + parts.join(''), notes };
}

function diffOf(file: string, before: string, after: string): string {
  if (before === after) return '';
  const [old, now] = [before === '' ? '/dev/null' : `a/${file}`, after === '' ? '/dev/null' : `b/${file}`];
  return createTwoFilesPatch(old, now, before, after, '', '', { context: 3 }).replace(/^=+\n/, '');
}

/** A note in words. */
export function noteText({ rule, file, name, outcome, text, assumes }: RuleNote): string {
  const head = `${outcome === 'applied' ? rule : `${rule} refused`}: ${name} (${file}): ${text}`;
  return assumes === '' ? head : `${head}\n  assumes that ${assumes}`;
}
