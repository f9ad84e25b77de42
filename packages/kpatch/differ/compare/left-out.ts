/** Changes that have no effect in a running kernel: they are not in the module, and the result lists them. */

import { STB } from '../../formats/elf/constants.ts';
import type { Section } from '../../formats/elf/object.ts';
import type { LeftOutChange, Reason } from '../options.ts';
import type { Pair } from '../parts/pair.ts';
import { isFunction, type Model, type Part } from '../parts/part.ts';
import { parentOf } from '../parts/symbols/names.ts';
import { refuseInit } from './limits.ts';

/** Notes a changed part of init or exit code. That of a module is refused where it can run again. */
export function leaveOutInit(pair: Pair, part: Part): void {
  const { object, leaveOutInit: accepted } = pair.options;
  const { name, section, phase } = part;
  if (phase === 'always') return;
  if (object !== 'vmlinux' && accepted !== true) {
    refuseInit(pair, part);
    return;
  }
  const why =
    object !== 'vmlinux'
      ? `it runs only when ${object} is loaded or removed`
      : phase === 'init'
        ? 'it has run and its memory is free'
        : 'exit code is not part of the kernel image';
  leaveOut(pair, {
    reason: phase,
    name,
    section: section.name,
    text: `the change of ${name} in ${section.name}: ${why}`,
  });
}

/** Takes changed functions of init and exit code out of the list. */
export function dropInit(pair: Pair, changed: ReadonlyMap<Part, readonly Reason[]>): void {
  for (const part of [...changed.keys()]) {
    if (part.phase === 'always') continue;
    leaveOutInit(pair, part);
    (changed as Map<Part, readonly Reason[]>).delete(part);
  }
}

/** Weak functions that the kernel has from another file: this version of them is not part of it. */
export function dropOverridden(pair: Pair, changed: ReadonlyMap<Part, readonly Reason[]>): void {
  for (const part of [...changed.keys()]) {
    const { name, bind } = part.twin!.symbol!;
    if (bind !== STB.WEAK) continue;
    const known = pair.options.symbols.filter((symbol) => symbol.name === name && symbol.bind === 'global');
    if (known.length !== 1 || known[0]!.weak !== false) continue;
    const { section } = part;
    leaveOut(pair, {
      reason: 'overridden',
      name,
      section: section.name,
      text: `the change of ${name}: it is weak, and the kernel uses the definition of another file`,
    });
    (changed as Map<Part, readonly Reason[]>).delete(part);
  }
}

/** Adds a change to those that are left out; `text` is a phrase for the user. */
export function leaveOut(pair: Pair, change: LeftOutChange): void {
  pair.leftOut.push(change);
  if (change.reason !== 'removed') pair.notes.push(`left out: ${change.text}`);
}

/**
 * What only one of the objects has and no code refers to: global names that are gone, exports, information on the module.
 */
export function findLeftOut(pair: Pair, ignored: ReadonlySet<string>): void {
  const { original, patched } = pair;
  for (const part of original.parts) {
    if (!isRemovedName(part, patched)) continue;
    const { name, section } = part;
    leaveOut(pair, {
      reason: 'removed',
      name,
      section: section.name,
      text: `${name} is removed: the running kernel keeps it`,
    });
  }
  for (const [model, how] of [
    [original, 'is gone'],
    [patched, 'is new'],
  ] as const) {
    for (const part of model.parts) if (isOnlyAtBoot(part)) leaveOutAtBoot(pair, part, how);
  }
  compareTexts(pair, exportsOf, ({ name, section }, how) => ({
    reason: 'export',
    name,
    section,
    text: `the export of ${name} ${how}: modules that are loaded already are not affected`,
  }));
  compareTexts(pair, modinfoOf, ({ name, section }, how) => ({
    reason: 'module information',
    name,
    section,
    text: `the module information "${name}" ${how}: the kernel and its tools read it from the installed module`,
  }));
  for (const [model, how] of [
    [original, 'is gone'],
    [patched, 'is new'],
  ] as const) {
    for (const { name } of unknownSections(model)) {
      if (ignored.has(name)) continue;
      leaveOut(pair, {
        reason: 'section',
        name,
        section: name,
        text: `the section ${name} ${how}: no code of the patch uses it`,
      });
    }
  }
}

/**
 * True for a global function or variable of init or exit code that only one of the objects has: another object can use it at boot.
 * Static ones are used by other init code only, which changed then.
 */
function isOnlyAtBoot(part: Part): boolean {
  const { symbol, twin, phase } = part;
  if (twin !== undefined || phase === 'always' || symbol === undefined || symbol.bind === STB.LOCAL) return false;
  return isFunction(part) || part.class === 'writable' || part.class === 'read-only';
}

function leaveOutAtBoot(pair: Pair, { name, section, phase }: Part, how: string): void {
  const why = phase === 'init' ? 'only the start of a kernel or module uses it' : 'only the end of a module uses it';
  const reason = phase === 'init' ? 'init' : 'exit';
  leaveOut(pair, { reason, name, section: section.name, text: `${name} in ${section.name} ${how}: ${why}` });
}

/** True for a global function or variable of which the patched object has nothing. */
function isRemovedName(part: Part, patched: Model): boolean {
  const { symbol, twin, phase, name } = part;
  if (twin !== undefined || phase !== 'always' || symbol === undefined || symbol.bind === STB.LOCAL) return false;
  if (!isFunction(part) && part.class !== 'writable' && part.class !== 'read-only') return false;
  if (parentOf(name) !== undefined) return false;
  return !patched.object.symbols.some((other) => other.name === name && typeof other.section === 'object');
}

interface Text {
  readonly name: string;
  readonly section: string;
  /** What must be equal beside the name. */
  readonly value: string;
}

function compareTexts(
  { original, patched, ...pair }: Pair,
  textsOf: (model: Model) => readonly Text[],
  change: (text: Text, how: string) => LeftOutChange,
): void {
  const [before, after] = [original, patched].map((model) => new Map(textsOf(model).map((text) => [text.name, text])));
  const add = (text: Text, how: string): void => leaveOut({ original, patched, ...pair }, change(text, how));
  for (const [name, text] of before!) {
    const now = after!.get(name);
    if (now === undefined) add(text, 'is gone');
    else if (now.value !== text.value) add(text, 'changed');
  }
  for (const [name, text] of after!) if (!before!.has(name)) add(text, 'is new');
}

/**
 * Exported names with what is said of them. Up to 6.3 each has a symbol `__ksymtab_NAME` in a section for its kind; since
 * 6.4 a symbol `__export_symbol_NAME` in `.export_symbol`, followed by licence and namespace.
 */
function exportsOf({ object }: Model): Text[] {
  return object.symbols.flatMap((symbol) => {
    if (!symbol.name.startsWith('__ksymtab_') && !symbol.name.startsWith('__export_symbol_')) return [];
    const { section, value } = symbol;
    const match = /^__(?:ksymtab|export_symbol)_(.+)$/.exec(symbol.name);
    if (match === null || typeof section !== 'object') return [];
    const name = match[1]!;
    const kind = section.name.replace(/\+.*$/, '');
    const said = section.name === '.export_symbol' ? textsAt(section, value, 2).join(' ') : '';
    return [{ name, section: kind, value: `${kind} ${said}` }];
  });
}

function textsAt({ data }: Section, offset: number, count: number): string[] {
  return Buffer.from(data.subarray(offset)).toString('latin1').split('\0', count);
}

/** The entries of `.modinfo`, but those that modpost makes again. */
function modinfoOf({ object }: Model): Text[] {
  const sections = object.sections.filter(({ name }) => name === '.modinfo');
  const texts = sections.flatMap(({ data }) => Buffer.from(data).toString('latin1').split('\0'));
  return texts
    .filter((text) => text !== '' && !/^(?:srcversion|vermagic|depends|name|retpoline|intree)=/.test(text))
    .filter((text) => !/^(?:\w+\.)?import_ns=/.test(text))
    .map((name) => ({ name, section: '.modinfo', value: '' }));
}

/** Unknown sections that only one of the objects has. */
function unknownSections({ parts }: Model): Section[] {
  const own = parts.filter((part) => part.class === 'unknown' && part.twin === undefined);
  return [...new Set(own.map(({ section }) => section))];
}
