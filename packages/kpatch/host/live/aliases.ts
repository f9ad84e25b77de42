/** Symbols that share an address. The kernel may show any of them for a function, for example in a stack trace. */
import { join } from 'node:path';
import { attribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';

/**
 * Maps each alias of the given functions to the given name, from `/proc/kallsyms` (`__do_sys_pause` to `__x64_sys_pause`).
 * Empty if addresses are hidden. It reads the whole table, so call it only when there is something to explain.
 */
export function aliasesOf(machine: Machine, names: ReadonlySet<string>): ReadonlyMap<string, string> {
  const text = attribute(join(machine.proc, 'kallsyms')) ?? '';
  const wanted = new Map<string, string>();
  const symbols = /^([0-9a-f]+) \w (\S+)/gm;
  for (const [, address = '', name = ''] of text.matchAll(symbols)) {
    if (names.has(name) && !/^0+$/.test(address)) wanted.set(address, name);
  }
  const aliases = new Map<string, string>();
  if (wanted.size === 0) return aliases;
  for (const [, address = '', name = ''] of text.matchAll(symbols)) {
    const known = wanted.get(address);
    if (known !== undefined && !names.has(name)) aliases.set(name, known);
  }
  return aliases;
}
