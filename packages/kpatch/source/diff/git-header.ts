/** The lines that git writes between `diff --git` and the hunks. */
import { bareName } from './names.ts';

export interface GitHeader {
  /** Line of the patch (from 1). */
  readonly line: number;
  /** The names of the `diff --git` line, with their prefixes. */
  readonly names: readonly [old: string, new: string] | undefined;
  readonly indent: number;
  readonly created?: boolean;
  readonly deleted?: boolean;
  /** `rename from`, `copy from` and their targets: paths without prefix. */
  readonly move?: { readonly kind: 'rename' | 'copy'; readonly from?: string; readonly to?: string };
  /** Permission bits after the patch, where the header gives them. */
  readonly mode?: number;
  /** The header alone changes something. */
  readonly changes?: boolean;
  /** What the file is that no live patch can change. */
  readonly special?: string;
}

/** The header with one more line of it; undefined if the line does not belong to it. */
export function readGitLine(git: GitHeader, line: string): GitHeader | undefined {
  const text = line.trimEnd();
  const index = /^index [0-9a-f]+(?:,[0-9a-f]+)*\.\.[0-9a-f]+(?: (\d{6}))?$/.exec(text);
  // A mode in this line says that it does not change, also where a damaged header says otherwise above.
  if (index !== null) return index[1] === undefined ? git : withMode(git, index[1], git.mode !== undefined);
  if (/^(?:dis)?similarity index \d+%$/.test(text)) return git;
  const [, what, mode] = /^(old mode|new mode|new file mode|deleted file mode) (\d{6})$/.exec(text) ?? [];
  if (what === 'old mode') return withMode(git, mode!, false);
  if (what === 'new mode') return withMode({ ...git, changes: true }, mode!, true);
  if (what === 'new file mode') return withMode({ ...git, created: true, changes: true }, mode!, true);
  if (what === 'deleted file mode') return withMode({ ...git, deleted: true, changes: true }, mode!, false);
  const [, kind, end, path] = /^(rename|copy) (from|to) ([^\n]+)$/.exec(line) ?? [];
  if (path === undefined) return undefined;
  const move = { ...git.move, kind: kind as 'rename' | 'copy', [end!]: bareName(path) };
  return { ...git, changes: true, move };
}

function withMode(git: GitHeader, mode: string, isNew: boolean): GitHeader {
  const kinds: Readonly<Record<string, string>> = { '120000': 'a symbolic link', '160000': 'a submodule' };
  if (mode !== '100644' && mode !== '100755') return { ...git, special: kinds[mode] ?? `a file with the mode ${mode}` };
  return isNew ? { ...git, mode: Number.parseInt(mode.slice(3), 8) } : git;
}
