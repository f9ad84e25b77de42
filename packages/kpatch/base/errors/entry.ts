/** One kind of error. The texts may name parameters in braces: `{file}`, or with a noun for counts: `{count function}`. */
export interface CatalogueEntry {
  /** Exit status of the command: 1 failed, 2 wrong usage, 3 nothing to do, 4 refused as unsafe. */
  readonly exit: 1 | 2 | 3 | 4;
  /** What happened: one sentence without a full stop. */
  readonly what: string;
  /** Why that matters; empty if the first text says enough. */
  readonly why: string;
  /** What to do about it, in the imperative. */
  readonly fix: string;
}

/** Keeps the literal types of the texts, so that the type checker knows the parameters of each entry. */
export function table<const T extends Readonly<Record<string, CatalogueEntry>>>(entries: T): T {
  return entries;
}
