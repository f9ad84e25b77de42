/** What is found out or loaded once for the whole process, when it is first asked for. */

/** A function that calls `make` at its first call and gives the same result from then on. What `make` throws is not kept; a promise that fails is. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
