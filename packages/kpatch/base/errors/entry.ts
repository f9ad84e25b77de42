/** One kind of error. The texts may name parameters in braces: `{file}`. */
export interface CatalogueEntry {
  /** Exit status of a command that ends with it: 1 failed, 2 wrong usage, 3 nothing to do, 4 refused as unsafe. */
  readonly exit: 1 | 2 | 3 | 4;
  /** What happened, one sentence without a full stop. */
  readonly what: string;
  /** Why that matters. */
  readonly why: string;
  /** What the person can do. */
  readonly fix: string;
}

/** Keeps the literal texts of a table, so that the parameters of each entry are known to the type checker. */
export function table<const T extends Readonly<Record<string, CatalogueEntry>>>(entries: T): T {
  return entries;
}
