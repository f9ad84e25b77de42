/** Compiler suffixes of names, and names that are not stable between compilations. */

/** Suffixes of functions that gcc and clang derive from others. The number counts within the compilation unit. */
const derivation = /\.(isra|constprop|part|cold|lto_priv)(?:\.\d+)?(?=\.|$)/g;

/**
 * The name without what may differ between two compilations: numbers of derived functions (`f.isra.3` is `f.isra`), of
 * static locals (`count.12` is `count.#`), of `__UNIQUE_ID_x123` and clang's `.llvm.123`.
 */
export function baseName(name: string): string {
  let base = name;
  if (base.includes('.')) {
    base = base
      .replace(/\.llvm\.\d+$/, '')
      .replace(derivation, '.$1')
      .replace(/(\.\d+)+$/, '.#');
  }
  if (base.includes('__UNIQUE_ID_') || base.includes('__addressable_') || base.includes('__ADDRESSABLE_')) {
    return base.replace(/\d+(?=$|\.)/, '#');
  }
  // __initcall__kmod_NAME__COUNTER_LINE_FUNCTION, include/linux/init.h since 5.9
  if (base.startsWith('__initcall__kmod_')) return base.replace(/__\d+_\d+_/, '__#_');
  return base;
}

/** True for a name that baseName() changes, so that a number in it may differ although the thing is the same. */
export function isNumbered(name: string): boolean {
  return baseName(name) !== name;
}

/** The function that a name belongs to: `f` for `f`, `f.isra.0`, `f.part.1`, `f.cold`, `f.isra.0.cold.7`. */
export function familyOf(name: string): string {
  const at = name.includes('.') ? name.search(/\.(?:isra|constprop|part|cold|lto_priv|llvm)(?:\.|$)/) : -1;
  return at > 0 ? name.slice(0, at) : name;
}

/** For a cold part: the name of the function that it was split from. `f.isra.0.cold.7` was split from `f.isra.0`. */
export function parentOf(name: string): string | undefined {
  return name.includes('.cold') ? /^(.+)\.cold(?:\.\d+)?$/.exec(name)?.[1] : undefined;
}

/**
 * Static locals that macros of the kernel make for each use, and tables that the compiler makes: it does not matter which
 * copy code uses, so a changed function takes its own copies along. Flags of WARN_ONCE and its like (`__already_done`,
 * `__warned`, `__print_once`), ratelimit states, lock class keys, counters of allocations, names of functions, switch
 * tables. (Descriptors of pr_debug are known by their section.) Not in the list: the state of DO_ONCE (`___done`), which
 * must not run twice.
 */
const perUse =
  '__already_done|__warned|__print_once|__func__|__FUNCTION__|__PRETTY_FUNCTION__|__key|_entry|_entry_ptr|_rs|_alloc_tag_cntr|CSWTCH';
/**
 * gcc gives static locals a number (`_rs.12`), clang the function's name (`f._rs`, `__func__.f`). A variable of such a name
 * without either is one of a file, with a state that must not be copied.
 */
const perUseName = new RegExp(
  `^(?:${perUse})(?:\\.\\d+)+$|^[\\w.]+\\.(?:${perUse})(?:\\.\\d+)*$|^__(?:func|FUNCTION|PRETTY_FUNCTION)__\\.[\\w.]+$`,
);

const functionName = /^(?:[\w.]+\.)?__(?:func|FUNCTION|PRETTY_FUNCTION)__(?:\.[\w.]+)?$/;

/** True for the variable that holds the name of a function: `__func__.7`, clang's `__func__.f`. */
export function isFunctionName(name: string): boolean {
  return functionName.test(name);
}

/** True for static locals of which any copy will do. */
export function isPerUse(name: string): boolean {
  return perUseName.test(name);
}
