/**
 * Which files of a tree the diffs of a patch change: how many parts of the names are to be stripped (`patch -p`), which of the
 * two names of a diff counts, and whether the file is created, changed, moved or removed.
 */
import { failure } from '../base/errors/error.ts';
import type { PatchedFile } from './diff/file.ts';
import { displayed } from './diff/lines.ts';
import { depthOf, pathInTree, stripped } from './diff/names.ts';
import type { Section } from './diff/sections.ts';
import type { TreeView } from './tree-view.ts';

/** Why a diff has no file at a strip level. Only the first kind is answered by another level. */
type Problem =
  | { readonly kind: 'missing'; readonly file: PatchedFile }
  | { readonly kind: 'outside' | 'ambiguous' | 'special'; readonly text: string };

interface Placement {
  readonly level: number;
  readonly files: readonly PatchedFile[];
  /** One for each diff that has no file at this level. */
  readonly problems: readonly (Problem & { readonly section: Section })[];
  /** How many diffs name the same file twice, as `diff` and git do. */
  readonly agreeing: number;
}

/** Names have fewer parts than this. */
const DEEPEST = 64;

/**
 * Finds the strip level and the files. The level at which all files exist wins; `a/` and `b/` are git's and are stripped before
 * anything else is tried. Where several levels fit, names that agree and old lines that the files have decide.
 * Errors: `patch-escapes`, `patch-ambiguous`, `patch-special-file`.
 */
export function placeSections(
  file: string,
  sections: readonly Section[],
  tree: TreeView,
): { strip: number; files: PatchedFile[] } {
  const prefixed = sections.every(isPrefixed);
  const depth = sections.flatMap(namesOf).reduce((most, name) => Math.max(most, depthOf(name)), 0);
  const deepest = Math.min(DEEPEST, depth);
  const levels = Array.from({ length: deepest + 1 }, (_, level) => level);
  const order = prefixed ? [1, ...levels.filter((level) => level !== 1)] : levels;
  const fitting: Placement[] = [];
  const failed: Placement[] = [];
  for (const level of order) {
    const placement = placeAt(level, sections, tree.copy());
    (placement.problems.length === 0 ? fitting : failed).push(placement);
    if (prefixed && level === 1 && fitting.length === 1) break;
  }
  const found = fitting.length > 0 ? best(fitting, tree) : leastWrong(failed);
  if (!tree.isAssumed) refuse(file, found);
  tree.apply(found.files);
  return { strip: found.level, files: [...found.files] };
}

/** The two letters that git puts before names (diff.mnemonicPrefix: index, worktree, commit, object). */
function isPrefixed(section: Section): boolean {
  return namesOf(section).every((name) => /^[abciow]\//.test(name));
}

function namesOf({ old, new: fresh, index, git }: Section): string[] {
  return [old?.name, fresh?.name, index, ...(git?.names ?? [])].filter((name) => name !== undefined);
}

function best(placements: readonly Placement[], tree: TreeView): Placement {
  const [first] = placements;
  if (placements.length === 1) return first!;
  const rated = placements.map((placement) => {
    const matching = placement.files.filter((file) => hasOldLines(file, tree)).length;
    return { placement, rating: matching * (placement.files.length + 1) + placement.agreeing };
  });
  return rated.reduce((a, b) => (b.rating > a.rating ? b : a)).placement;
}

/** Whether the lines that the first hunk expects are somewhere in the file. */
function hasOldLines({ path, from, hunks }: PatchedFile, tree: TreeView): boolean {
  const [hunk] = hunks;
  if (hunk === undefined) return true;
  const old = hunk.lines.filter((line) => line.startsWith(' ') || line.startsWith('-')).map((line) => line.slice(1));
  return `\n${tree.text(from ?? path)}\n`.includes(`\n${old.join('\n')}`);
}

function leastWrong(placements: readonly Placement[]): Placement {
  // A name that climbs out of the tree is not to be explained away by stripping it to its last parts.
  const climbs = ({ problems }: Placement): boolean =>
    problems.some((problem) => problem.kind === 'outside' && problem.text.split('/').includes('..'));
  const outside = placements.find(climbs);
  if (outside !== undefined) return outside;
  const weights = { ambiguous: 1, special: 1, missing: 2, outside: 3 };
  const rank = ({ problems }: Placement): number => problems.reduce((sum, { kind }) => sum + weights[kind], 0);
  return placements.reduce((a, b) => (rank(b) < rank(a) ? b : a));
}

function refuse(file: string, { problems }: Placement): void {
  const problem = problems.find(({ kind }) => kind !== 'missing');
  if (problem === undefined || problem.kind === 'missing') return;
  const where = { where: { file, line: problem.section.line } };
  const target = displayed(problem.text);
  if (problem.kind === 'outside') throw failure('patch-escapes', { file, target }, where);
  if (problem.kind === 'special')
    throw failure('patch-special-file', { file, target, kind: 'a symbolic link or folder' }, where);
  throw failure('patch-ambiguous', { file, problem: target }, where);
}

function placeAt(level: number, sections: readonly Section[], tree: TreeView): Placement {
  const files: PatchedFile[] = [];
  const problems: Placement['problems'][number][] = [];
  let agreeing = 0;
  for (const section of sections) {
    const placed = place(section, level, tree);
    const path = 'path' in placed ? placed : placed.kind === 'missing' ? placed.file : undefined;
    if (path !== undefined) {
      files.push(path);
      tree.apply([path]);
    }
    if (!('path' in placed)) problems.push({ ...placed, section });
    const [old, fresh] = [section.old?.name, section.new?.name];
    if (old !== undefined && fresh !== undefined && stripped(old, level) === stripped(fresh, level)) agreeing++;
  }
  return { level, files, problems, agreeing };
}

function place(section: Section, level: number, tree: TreeView): PatchedFile | Problem {
  const { git, hunks, group } = section;
  const more = { hunks, group, ...(git?.mode === undefined ? {} : { mode: git.mode }) };
  const conflict = disagreement(section);
  if (conflict !== undefined) return { kind: 'ambiguous', text: conflict };
  if (git?.move !== undefined) return move(section, level, tree, more);
  const names = [section.old?.name, section.new?.name, section.index].filter((name) => name !== undefined);
  if (names.length === 0) return { kind: 'ambiguous', text: `the diff of line ${section.line} names no file` };
  const spelled = names.map((name) => stripped(name, level)).filter((name) => name !== undefined);
  const paths = [...new Set(spelled.map(pathInTree).filter((path) => path !== undefined))];
  if (paths.length === 0) return { kind: 'outside', text: names[0] ?? '/dev/null' };
  const special = paths.find((path) => tree.kind(path) === 'special');
  if (special !== undefined) return { kind: 'special', text: special };
  const existing = paths.filter((path) => tree.kind(path) !== 'none');
  if (existing.length > 1)
    return { kind: 'ambiguous', text: `its line ${section.line} could change ${existing.join(' or ')}` };
  if (git !== undefined && paths.length > 1 && existing.length > 0)
    return {
      kind: 'ambiguous',
      text: `"diff --git" of line ${git.line} names two files, and has no lines "rename" or "copy"`,
    };
  const path = existing[0] ?? nearest(paths, tree);
  if (section.before === 'none') {
    if (git !== undefined && git.created !== true)
      return { kind: 'ambiguous', text: `the header of ${path} names no old file, and has no line "new file mode"` };
    return create({ ...more, path, kind: 'create' }, tree);
  }
  // No lines and no time: a file that is not there, or the place before the first line.
  if (existing.length === 0 && section.before === 'empty' && git === undefined)
    return create({ ...more, path, kind: 'create' }, tree);
  const file: PatchedFile = { ...more, path, kind: section.after === 'none' ? 'delete' : 'modify' };
  return existing.length === 0 ? { kind: 'missing', file } : file;
}

/** A new file fits a level at which its first folder exists. A file at the top fits none better than the others. */
function create(file: PatchedFile, tree: TreeView): PatchedFile | Problem {
  const [top] = file.path.split('/', 1);
  return top !== file.path && tree.isFolder(top!) ? file : { kind: 'missing', file };
}

/** Of several names for a new file, the one that needs the fewest new folders, then the shortest. */
function nearest(paths: readonly string[], tree: TreeView): string {
  const missing = (path: string): number => {
    const parts = path.split('/').slice(0, -1);
    const have = parts.findIndex((_, index) => !tree.isFolder(parts.slice(0, index + 1).join('/')));
    return have < 0 ? 0 : parts.length - have;
  };
  const rank = (path: string): readonly number[] => {
    const parts = path.split('/');
    return [missing(path), parts.length, parts.at(-1)!.length, path.length];
  };
  return paths.reduce((a, b) => {
    const [left, right] = [rank(a), rank(b)];
    const at = left.findIndex((value, index) => value !== right[index]);
    return at >= 0 && right[at]! < left[at]! ? b : a;
  });
}

/** What in the header of git contradicts the rest of the diff: git would refuse it, GNU patch would not. */
function disagreement({ git, old, new: fresh, hunks }: Section): string | undefined {
  if (git === undefined) return undefined;
  const [left, right] = git.names ?? [];
  const differs = (name: string | undefined, other: string | undefined): boolean =>
    name !== undefined && other !== undefined && name !== other;
  if (differs(old?.name, left) || differs(fresh?.name, right))
    return `"diff --git" of line ${git.line} and the names below it differ`;
  if (
    hunks.length > 0 &&
    ((git.created === true && old?.absent === false) || (git.deleted === true && fresh?.absent === false))
  )
    return `the header of line ${git.line} adds or removes a file, and the names below it do not`;
  return undefined;
}

function move(
  section: Section,
  level: number,
  tree: TreeView,
  more: Omit<PatchedFile, 'path' | 'kind'>,
): PatchedFile | Problem {
  const { kind, from, to } = section.git!.move!;
  const names = section.git!.names ?? [section.old?.name, section.new?.name];
  if (from === undefined || to === undefined)
    return { kind: 'ambiguous', text: `the ${kind} of line ${section.git!.line} does not name both files` };
  const paths = [from, to].map((bare, index) => {
    // The names below carry no prefix, so only what is stripped beyond the prefix is stripped from them.
    const name = names[index];
    if (name !== undefined && !`/${name}`.endsWith(`/${bare}`)) return undefined;
    const prefix = name === undefined ? 1 : depthOf(name) - depthOf(bare);
    return level < prefix ? stripped(name ?? bare, level) : stripped(bare, level - prefix);
  });
  if (paths.includes(undefined))
    return {
      kind: 'ambiguous',
      text: `the ${kind} of line ${section.git!.line} names other files than its first line`,
    };
  const [source, path] = paths.map(pathInTree);
  if (source === undefined || path === undefined) return { kind: 'outside', text: source === undefined ? from : to };
  const special = [source, path].find((one) => tree.kind(one) === 'special');
  if (special !== undefined) return { kind: 'special', text: special };
  const file: PatchedFile = { ...more, path, from: source, kind };
  if (kind === 'rename' && tree.changedIn(source, section.group))
    return { kind: 'ambiguous', text: `${source} is changed and then renamed` };
  return tree.kind(source) === 'none' ? { kind: 'missing', file } : file;
}
