/** Counts with their nouns. */

/**
 * The count and its noun in the right number: `plural(1, 'function')` is `1 function`, `plural(2, 'entry', 'entries')` is
 * `2 entries`. `many` is needed only where the plural is not the noun with an `s`.
 */
export function plural(count: number | bigint, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 || count === 1n ? one : many}`;
}
