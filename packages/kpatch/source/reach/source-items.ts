/**
 * The definitions of a C file by name, for telling the user which of them a patch edits. `header-items.ts` gives no name to
 * what a header should not have (functions and variables that are not static), since there it has to suppose the worst; in
 * a source file they are the usual thing.
 */
import { diffArrays } from 'diff';
import { platforms } from '../../platform/registry.ts';
import { type HeaderItem, headerItems } from './header-items.ts';

export interface SourceItem {
  /** The names by which it is known; empty if that cannot be determined. */
  readonly names: readonly string[];
  /** Without comments, white space as single spaces. */
  readonly text: string;
}

/** The definitions of a file in their order. */
export function sourceItems(source: string): SourceItem[] {
  return headerItems(source).map((item) => ({ names: namesOf(item), text: item.text }));
}

/** Names of the definitions that differ between two versions; a version that does not exist has none. */
export function editedNames(before: string | undefined, after: string | undefined): string[] {
  const parts = diffArrays(sourceItems(before ?? ''), sourceItems(after ?? ''), {
    comparator: (a, b) => a.text === b.text,
  });
  const changed = parts.filter(({ added, removed }) => added || removed).flatMap(({ value }) => value);
  return [...new Set(changed.flatMap(({ names }) => names))];
}

/** What include/linux/syscalls.h makes of SYSCALL_DEFINE3(read, ...) and COMPAT_SYSCALL_DEFINE3 on the architectures. */
const systemCall = /^(?:KPATCH_)?(COMPAT_)?SYSCALL_DEFINE\d \( (\w+)/;

function namesOf({ kind, names, text }: HeaderItem): readonly string[] {
  if (kind !== 'open') return names;
  const [, compat, call] = systemCall.exec(text) ?? [];
  if (call !== undefined) {
    const stem = compat === undefined ? 'sys' : 'compat_sys';
    const wrappers = platforms().flatMap(({ naming }) => naming.systemCalls ?? []);
    return ['__do_', '__se_', ...wrappers].map((prefix) => `${prefix}${stem}_${call}`);
  }
  const head = /^[^{]*/.exec(text)![0];
  const variable = /(\w+)(?: \[[^\]]*\])*(?: __\w+)* =/.exec(head)?.[1];
  if (variable !== undefined) return [variable];
  if (!text.includes('{')) return [];
  // The function is the first name with parentheses that is not an attribute: those have two of them, or are in capitals.
  const called = [...head.matchAll(/\b([A-Za-z_]\w*) \( (?!\()/g)].map(([, name]) => name!);
  const name = called.find(
    (one) => !/^(__\w+__|__(?:printf|scanf|aligned|section|acquires|releases|must_hold))$/.test(one),
  );
  return name === undefined ? [] : [name];
}
