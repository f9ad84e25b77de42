/** Whether a symbol of the kernel is code or data. */

export type SymbolKind = 'function' | 'object' | 'other';

/** Symbols of the linker script around code and around data (include/asm-generic/vmlinux.lds.h). */
const ranges: readonly (readonly [start: string, end: string, kind: SymbolKind])[] = [
  ['_stext', '_etext', 'function'],
  ['_sinittext', '_einittext', 'function'],
  ['__start_rodata', '__end_rodata', 'object'],
  ['_sdata', '_edata', 'object'],
  ['__bss_start', '__bss_stop', 'object'],
];

/**
 * The kind of a symbol by its address and type letter: by the range that the address is in, else by the letter. The letter that nm
 * prints follows the flags of the output section: in Debian's Linux 7.2, `.data` is executable, so that all variables have `T` or `t`.
 * `addressOf` gives the addresses of the linker script's symbols.
 */
export function symbolKinds(
  addressOf: (name: string) => bigint | undefined,
): (symbol: { readonly address: bigint; readonly type: string }) => SymbolKind {
  const known = ranges.flatMap(([start, end, kind]) => {
    const [from, to] = [addressOf(start), addressOf(end)];
    return from === undefined || to === undefined ? [] : [{ from, to, kind }];
  });
  return ({ address, type }) => {
    const range = known.find(({ from, to }) => address >= from && address < to);
    if (range !== undefined) return range.kind;
    return /[tTwW]/.test(type) ? 'function' : /[dDbBrRvV]/.test(type) ? 'object' : 'other';
  };
}
