/** How sections are cut into parts: at functions, at data objects, at places that something refers to. */

import { SHF, SHT, STB, STT } from '../../formats/elf/constants.ts';
import { type ElfObject, type ElfSymbol, type Section, sizeOf } from '../../formats/elf/object.ts';
import type { Architecture } from '../../platform/platform.ts';
import type { Model, Part } from './part.ts';
import type { SectionKind } from './section-class.ts';
import { isBtfId } from './tables/btf-ids.ts';

/** A symbol that names something, with the source file before it and whether it only marks padding. */
export interface Located {
  readonly symbol: ElfSymbol;
  readonly file: string;
  readonly prefix: boolean;
}

/** The symbols that name something in each section, by their offsets; locals know the FILE symbol before them. */
export function symbolsBySection(object: ElfObject, arch: Architecture): Map<Section, Located[]> {
  const result = new Map<Section, Located[]>();
  let file = '';
  for (const symbol of object.symbols) {
    if (symbol.type === STT.FILE) file = symbol.name;
    if (typeof symbol.section !== 'object' || symbol.type === STT.SECTION || symbol.name === '') continue;
    if (arch.isLabel(symbol.name) && (symbol.type === STT.NOTYPE || symbol.size === 0)) continue;
    const located = {
      symbol,
      file: symbol.bind === STB.LOCAL ? file : '',
      prefix: arch.prefixOf(symbol.name) !== undefined,
    };
    const list = result.get(symbol.section);
    if (list === undefined) result.set(symbol.section, [located]);
    else list.push(located);
  }
  for (const list of result.values()) list.sort((a, b) => a.symbol.value - b.symbol.value);
  return result;
}

/** No kernel asks for more NOPs before functions than this many bytes. */
const MOST_PADDING = 64;

/** A run of symbols that overlap or are at one place, with the range they cover. */
interface Cluster {
  start: number;
  end: number;
  symbols: Located[];
}

export function split(
  model: Model,
  section: Section,
  kind: SectionKind,
  symbols: readonly Located[],
  cuts: readonly number[] | undefined,
): Part[] {
  const size = sizeOf(section);
  const whole = (located: readonly Located[]): Part[] => [makePart(model, section, kind, 0, size, located, false)];
  if (kind.class === 'fragments') return splitAt(model, section, kind, cuts ?? [0]);
  if (kind.class === 'strings' || kind.class === 'constants' || kind.class === 'registry') return whole([]);
  if (kind.class === 'ids') return splitIds(model, section, kind, symbols);
  if (model.arch.addressList?.(section.name) === true) return splitAt(model, section, kind, everyAddress(size));
  const text = kind.class === 'text';
  const clusters = clustersOf(text, symbols, size, (symbol, from) =>
    text ? leadInOf(model, section, symbol, from) : 0,
  );
  if (clusters.length === 0) return whole([]);
  const only = clusters[0]!;
  if (clusters.length === 1 && coversAll(model, section, kind, only)) {
    // Zeros after an object, which only align what may follow, are not part of it.
    if (text || only.end === only.start) return whole(only.symbols);
    return [makePart(model, section, kind, 0, only.end, only.symbols, false)];
  }
  const parts: Part[] = [];
  let at = 0;
  for (const [index, cluster] of clusters.entries()) {
    if (cluster.start > at) pushGap(parts, model, section, kind, at, cluster.start);
    const next = clusters[index + 1]?.start ?? size;
    const end = cluster.end > cluster.start ? Math.min(cluster.end, next) : next;
    parts.push(makePart(model, section, kind, cluster.start, end, cluster.symbols, true));
    at = end;
  }
  if (at < size) pushGap(parts, model, section, kind, at, size);
  return parts;
}

/** BTF ids by their lists and sets: each begins at its own name; entries have names of a form of their own. */
function splitIds(model: Model, section: Section, kind: SectionKind, symbols: readonly Located[]): Part[] {
  const heads = symbols.filter(({ symbol }) => !isBtfId(symbol.name));
  const starts = [...new Set(heads.map(({ symbol }) => symbol.value))];
  const size = sizeOf(section);
  const part = (start: number, end: number, located: readonly Located[]): Part => {
    const all = symbols.filter(({ symbol }) => symbol.value >= start && symbol.value < end);
    return { ...makePart(model, section, kind, start, end, located, true), symbols: all.map(({ symbol }) => symbol) };
  };
  const parts = starts.map((start, index) => {
    return part(
      start,
      starts[index + 1] ?? size,
      heads.filter(({ symbol }) => symbol.value === start),
    );
  });
  return starts[0] === 0 ? parts : [part(0, starts[0] ?? size, []), ...parts];
}

function everyAddress(size: number): number[] {
  return Array.from({ length: Math.ceil(size / 8) }, (_, index) => index * 8);
}

/**
 * Bytes before a function's symbol that belong to it, none of them before `from`: those that the architecture knows, or
 * NOPs before the entry that the compiler listed for ftrace (-fpatchable-function-entry=n,m).
 */
function leadInOf(model: Model, section: Section, symbol: ElfSymbol, from: number): number {
  const places = model.patchablePlaces(section);
  const place = places.find((at) => at >= from && at >= symbol.value - MOST_PADDING && at < symbol.value);
  if (place !== undefined) return symbol.value - place;
  const { leadIn } = model.arch;
  if (leadIn === undefined) return 0;
  return leadIn(symbol, (offset) => model.relocationsIn(section, offset, offset + 1).length > 0);
}

/** True if one cluster is the whole section but for padding, so that the section is one part. */
function coversAll(model: Model, section: Section, kind: SectionKind, { start, end }: Cluster): boolean {
  const size = sizeOf(section);
  if (kind.class === 'text') return start <= 64; // padding before the entry has no symbol of its own until 6.2
  return start === 0 && (end === size || end === start || isBlank(model, section, end, size));
}

function clustersOf(
  text: boolean,
  symbols: readonly Located[],
  size: number,
  leadIn: (symbol: ElfSymbol, from: number) => number,
): Cluster[] {
  // In text only functions begin parts; a NOTYPE symbol in the middle of one (assembly) must not cut it.
  const functions = text && symbols.some(isFunctionSymbol);
  const begins = (located: Located): boolean => !functions || located.prefix || isFunctionSymbol(located);
  const clusters: Cluster[] = [];
  for (const located of symbols) {
    if (!begins(located)) continue;
    const { value, size: length } = located.symbol;
    if (value > size) continue;
    const last = clusters.at(-1);
    const start = value - leadIn(located.symbol, last?.end ?? 0);
    const end = Math.min(size, value + length);
    const joined = last !== undefined && (value < last.end || start === last.start || isPrefixOnly(last));
    if (joined) {
      last.end = Math.max(last.end, end);
      last.symbols.push(located);
    } else {
      clusters.push({ start: Math.max(start, last?.end ?? 0), end: Math.max(start, end), symbols: [located] });
    }
  }
  for (const located of symbols) {
    if (!begins(located)) clusterAt(clusters, located.symbol.value)?.symbols.push(located);
  }
  return clusters;
}

function isFunctionSymbol({ symbol: { type } }: Located): boolean {
  return type === STT.FUNC || type === STT.GNU_IFUNC;
}

/** The last cluster that begins at or before an offset. */
function clusterAt(clusters: readonly Cluster[], offset: number): Cluster | undefined {
  let low = 0;
  let high = clusters.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (clusters[middle]!.start <= offset) low = middle + 1;
    else high = middle;
  }
  return clusters[low - 1];
}

/** A prefix symbol (`__pfx_f`) stands alone until the function that it belongs to comes. */
function isPrefixOnly(cluster: Cluster): boolean {
  return cluster.symbols.every(({ prefix }) => prefix);
}

function pushGap(parts: Part[], model: Model, section: Section, kind: SectionKind, start: number, end: number): void {
  if (kind.class === 'text' ? isTextPadding(model, section, start, end) : isBlank(model, section, start, end)) return;
  parts.push(makePart(model, section, kind, start, end, [], true));
}

function isTextPadding(model: Model, section: Section, start: number, end: number): boolean {
  return model.arch.isPadding(section.data, start, end) && model.relocationsIn(section, start, end).length === 0;
}

/** True if a range of data is zero and has no relocations: padding for alignment. */
function isBlank(model: Model, section: Section, start: number, end: number): boolean {
  if (section.type === SHT.NOBITS) return true;
  for (let at = start; at < end; at++) if (section.data[at] !== 0) return false;
  return model.relocationsIn(section, start, end).length === 0;
}

function splitAt(model: Model, section: Section, kind: SectionKind, cuts: readonly number[]): Part[] {
  const size = sizeOf(section);
  const starts = [...new Set([0, ...cuts])].filter((at) => at < size || at === 0).sort((a, b) => a - b);
  return starts.map((start, index) =>
    makePart(model, section, kind, start, starts[index + 1] ?? size, [], starts.length > 1),
  );
}

/** Sections of replacements, of which entries of tables say how long each is, and of code that always ends with a jump. */
const separate = /^(?:\.altinstr_replacement|\.altinstr_aux|__ftr_alt_)/;

/**
 * Where pieces of code in `.fixup` and its like begin: wherever anything outside refers to, but where the code before runs
 * on into it (a place that may fault in the middle of a piece).
 */
export function fragmentCuts(model: Model): Map<Section, number[]> {
  const cuts = new Map<Section, number[]>();
  for (const [section, { class: kind }] of model.kinds) if (kind === 'fragments') cuts.set(section, []);
  if (cuts.size === 0) return cuts;
  for (const section of model.object.sections) {
    if (cuts.has(section) || (section.flags & SHF.ALLOC) === 0) continue;
    const text = (section.flags & SHF.EXECINSTR) !== 0;
    for (const { symbol, addend, type, offset } of section.relocations) {
      if (symbol === undefined || typeof symbol.section !== 'object') continue;
      const list = cuts.get(symbol.section);
      if (list === undefined) continue;
      const bias = model.arch.relocation(type)?.bias ?? 0;
      // Code refers to fragments by jumps only, whose fields are the last four bytes of the instruction.
      const inTable = model.arch.tableBias?.(section.name, offset) ?? 0;
      const at = symbol.value + addend + (!text ? inTable : bias === 'instruction-end' ? 4 : bias);
      if (at >= 0) list.push(at);
    }
  }
  for (const [section, list] of cuts)
    if (!separate.test(section.name)) cuts.set(section, entered(model, section, list));
  return cuts;
}

/** Of places in a section of fragments, in order, those that the code before does not run into. */
function entered(model: Model, section: Section, places: readonly number[]): number[] {
  const decoder = model.decoder(section);
  const result: number[] = [];
  let at = 0;
  let runsOn = false;
  for (const place of [...new Set(places)].sort((a, b) => a - b)) {
    if (place >= sizeOf(section)) break;
    while (at < place) {
      const instruction = decoder.instruction(at);
      const flow = instruction?.flow ?? 'end';
      runsOn = instruction?.traps !== true && flow !== 'jump' && flow !== 'end';
      at += instruction?.length ?? 1;
    }
    // An instruction that lies across the place was not decoded from its beginning.
    if (at > place || !runsOn) result.push(place);
    at = place;
    runsOn = false;
  }
  return result;
}

function makePart(
  model: Model,
  section: Section,
  kind: SectionKind,
  start: number,
  end: number,
  located: readonly Located[],
  shared: boolean,
): Part {
  const main = mainSymbol(kind.class === 'text', located);
  return {
    model,
    section,
    class: kind.class,
    phase: kind.phase,
    start,
    end,
    name: main?.symbol.name ?? section.name,
    symbol: main?.symbol,
    symbols: located.map(({ symbol }) => symbol),
    file: main?.file ?? '',
    shared,
    twin: undefined,
  };
}

/** Of aliases: functions or objects before plain labels, then the first in the range, global before weak before local. */
function mainSymbol(text: boolean, located: readonly Located[]): Located | undefined {
  const rank = ({ symbol, prefix }: Located): number => {
    const fits = text ? symbol.type === STT.FUNC : symbol.type === STT.OBJECT;
    const bind = symbol.bind === STB.GLOBAL ? 0 : symbol.bind === STB.WEAK ? 1 : 2;
    return (prefix ? 8 : 0) + (fits ? 0 : 4) + bind;
  };
  let best: Located | undefined;
  for (const candidate of located) {
    if (candidate.prefix) continue;
    if (best === undefined) best = candidate;
    else {
      const order =
        rank(candidate) - rank(best) ||
        candidate.symbol.value - best.symbol.value ||
        (candidate.symbol.name < best.symbol.name ? -1 : 1);
      if (order < 0) best = candidate;
    }
  }
  return best;
}
