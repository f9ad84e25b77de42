/** What a patch changes in a header: the definitions that differ between its two versions. */
import { diffArrays } from 'diff';
import { type HeaderItem, headerItems } from './header-items.ts';

export interface HeaderChange {
  /** Path in the tree. */
  readonly file: string;
  /** Text before and after the patch; undefined if the file does not exist then. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

export interface ChangedNames {
  /** Names of the definitions that differ; empty if only comments or white space do. */
  readonly names: readonly string[];
  /** Why the effect of the change cannot be determined by names; undefined if it can. */
  readonly whole?: string;
}

const reasons: Readonly<Partial<Record<HeaderItem['kind'], string>>> = {
  include: 'which files it includes',
  conditional: 'the conditions of its preprocessor',
  open: 'something at its outer level that has no name of its own',
};

/** Compares the two versions item by item; what has moved counts as changed. */
export function changedNames({ file, before, after }: HeaderChange): ChangedNames {
  if (before === undefined || after === undefined) return { names: [], whole: `${file} is new or removed` };
  const names = new Set<string>();
  const parts = diffArrays(headerItems(before), headerItems(after), {
    comparator: (a, b) => a.kind === b.kind && a.text === b.text,
  });
  for (const part of parts) {
    if (!part.added && !part.removed) continue;
    for (const item of part.value) {
      const reason = reasons[item.kind];
      if (reason !== undefined) return { names: [], whole: `the patch changes ${reason}` };
      for (const name of item.names) names.add(name);
    }
  }
  return { names: [...names] };
}

/** The structures and unions whose definitions differ, like `struct pid`; of an unnamed one the name that a typedef gives it. */
export function changedStructures({ before, after }: HeaderChange): string[] {
  if (before === undefined || after === undefined) return [];
  const definitions = (text: string): Set<string> =>
    new Set(headerItems(text).flatMap(({ kind, text: item }) => (kind === 'type' ? [item] : [])));
  const [old, now] = [definitions(before), definitions(after)];
  const changed = [...now].filter((text) => !old.has(text));
  return [
    ...new Set(
      changed.flatMap((text) => {
        const tag = /^(?:typedef )?(struct|union) (\w+) ?\{/.exec(text);
        if (tag !== null) return [`${tag[1]} ${tag[2]}`];
        const name = /^typedef (?:struct|union) ?\{.*\} ?(\w+) ?;?$/s.exec(text)?.[1];
        return name === undefined ? [] : [name];
      }),
    ),
  ];
}
