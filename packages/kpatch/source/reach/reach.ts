/**
 * Finds the units that a changed header affects. All units that include it could be affected, but most do not use the
 * change. A unit is left out only if that is certain: neither its own text nor any definition of the headers it includes
 * mentions a changed name, followed through all definitions that mention one. If names are not conclusive (macro calls at
 * the outer level, conditions of the preprocessor, fragments that are not definitions), every unit that includes the place
 * is kept.
 */
import { readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { run } from '../../base/run.ts';
import type { IncludeGraph } from '../../kbuild/include-graph.ts';
import type { ObjectMap } from '../../kbuild/object-map.ts';
import { objectOf } from '../../kbuild/unit.ts';
import { withoutComments, wordsOf } from './c-text.ts';
import { changedNames, type HeaderChange } from './header-change.ts';
import { headerItems } from './header-items.ts';
import { type Pasting, pasting } from './pasting.ts';
import { TreeSearch } from './tree-search.ts';
import { JOIN, wordIndex } from './word-index.ts';

export interface ReachedUnit {
  /** Its source file. */
  readonly source: string;
  /** The names through which the change affects it; empty if it was kept because names are not conclusive. */
  readonly names: readonly string[];
}

export interface Reach {
  readonly file: string;
  readonly units: readonly ReachedUnit[];
  /** How many units include the file. */
  readonly includers: number;
  /** Why all of them were kept; undefined if those that do not use what changed were left out. */
  readonly whole?: string;
  /** The names that count as changed. */
  readonly names: readonly string[];
}

/** With fewer units than this, compiling all of them is faster than the analysis. */
const FEW = 4;
/** Above these limits, following the change costs more than it saves. */
const MOST_NAMES = 2000;
const MOST_HEADERS = 1500;
const MOST_ROUNDS = 12;

export class HeaderReach {
  readonly #graph: IncludeGraph;
  readonly #objects: ObjectMap;
  readonly #tree: string;
  readonly #folder: string;

  /** `folder` is for what is derived from the tree once. */
  constructor(tree: string, graph: IncludeGraph, objects: ObjectMap, folder: string) {
    this.#tree = tree;
    this.#graph = graph;
    this.#objects = objects;
    this.#folder = folder;
  }

  /** The units that a change of this header can affect. `users` are files that start to include it with the same patch. */
  async of(change: HeaderChange, users: readonly string[] = []): Promise<Reach> {
    const { file } = change;
    const start = [...(change.before === undefined ? await this.#shadowed(file) : [file]), ...users];
    const reaching = this.#graph.reaching(start);
    const units = [...reaching].filter((path) => this.#isUnit(path)).sort();
    const all = (whole: string, names: readonly string[] = []): Reach => {
      return { file, units: units.map((source) => ({ source, names: [] })), includers: units.length, whole, names };
    };
    if (units.length <= FEW) return all('they are few');
    if (users.length > 0) return all('the patch includes it in more places');
    const changed = changedNames(change);
    if (changed.whole !== undefined) return all(changed.whole);
    const included = this.#graph.includedBy(units);
    using index = wordIndex(this.#tree, () => this.#texts(), this.#folder);
    const search = new TreeSearch(
      this.#tree,
      [...included].filter((path) => this.#graph.isIncluded(path)),
      index,
    );
    const joiners = await pasting(new TreeSearch(this.#tree, this.#graph.headers(), index), this.#folder);
    const spread = new Spread(this.#graph, search, joiners, units);
    const whole = await spread.follow(changed.names, file);
    if (whole !== undefined) return all(whole, changed.names);
    const kept = await spread.users();
    for (const [source, name] of await this.#generated(search, units, spread.names, file))
      kept.set(source, new Set([name]));
    this.#keepCopies(units, kept);
    const list = [...kept].map(([source, names]) => ({ source, names: [...names].sort() }));
    list.sort((a, b) => (a.source < b.source ? -1 : 1));
    return { file, units: list, includers: units.length, names: spread.names };
  }

  /** A unit that is compiled from the source of another one is affected as that one, and always if that is no unit of this kernel. */
  #keepCopies(units: readonly string[], kept: Map<string, Set<string>>): void {
    for (const unit of units) {
      const source = this.#graph.copiedFrom(unit);
      if (source === undefined || (this.#isUnit(source) && !kept.has(source))) continue;
      kept.set(unit, kept.get(source) ?? new Set());
    }
  }

  /** What is searched for words: all headers and all units. */
  #texts(): Set<string> {
    const units = [...this.#objects.keys()].flatMap((object) => ['c', 'S'].map((end) => object.replace(/o$/, end)));
    return new Set([...this.#graph.headers(), ...units]);
  }

  #isUnit(path: string): boolean {
    return /\.[cS]$/.test(path) && this.#objects.has(objectOf(path));
  }

  /** Files with an include that would lead to a file that is new. */
  async #shadowed(file: string): Promise<string[]> {
    const name = posix.basename(file);
    const pattern = `#[[:space:]]*include[[:space:]]*["<]([^">]*/)?${name.replace(/[.+]/g, '[$&]')}[">]`;
    const folders = ['.'];
    const { stdout } = await run('grep', ['-rIoE', '--include=*.[chS]', pattern, ...folders], { cwd: this.#tree });
    const files = new Set<string>();
    for (const line of stdout.toString().split('\n')) {
      const [, path, spelled] = /^\.\/([^:]+):.*["<]([^">]+)[">]/.exec(line) ?? [];
      if (path === undefined || spelled === undefined) continue;
      const plain = posix.normalize(spelled).replace(/^(\.\.\/)+/, '');
      if (file === plain || file.endsWith(`/${plain}`)) files.add(path);
    }
    return [...files];
  }

  /** Units of which a part is only generated when they are compiled: kept where what it comes from mentions a name. */
  async #generated(
    search: TreeSearch,
    units: readonly string[],
    names: readonly string[],
    file: string,
  ): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    const affected = units.filter((unit) => this.#graph.isGenerated(unit));
    if (affected.length === 0) return found;
    const filesIn = (folder: string, recursive: boolean): string[] => {
      try {
        return readdirSync(join(this.#tree, folder), { recursive, withFileTypes: true, encoding: 'utf8' })
          .filter((entry) => entry.isFile())
          .map((entry) => posix.relative(this.#tree, posix.join(entry.parentPath, entry.name)));
      } catch {
        return [];
      }
    };
    const folders = new Set(affected.map((unit) => posix.dirname(unit)));
    const sources = [...folders].flatMap((folder) => filesIn(folder, false));
    const words = [...names, posix.basename(file)];
    const mentions = await search.mentioning(words, [...filesIn('scripts', true), ...sources]);
    for (const unit of affected) {
      const own = [...mentions].find(
        ([path]) => path.startsWith('scripts/') || posix.dirname(path) === posix.dirname(unit),
      );
      if (own !== undefined) found.set(unit, [...own[1]][0]!);
    }
    return found;
  }
}

/** The spread of changed names through the definitions of headers, and the units that mention one. */
class Spread {
  readonly #graph: IncludeGraph;
  readonly #search: TreeSearch;
  readonly #pasting: Pasting;
  readonly #units: readonly string[];
  /** Changed name → the headers that define it. */
  readonly #names = new Map<string, Set<string>>();
  #list: readonly string[] = [];
  #joining: Promise<readonly string[]> | undefined;
  /** Files in which names do not tell, with the name that is mentioned there. */
  readonly #open = new Map<string, string>();
  readonly #reaching = new Map<string, ReadonlySet<string>>();
  /** Of a file the words that could make one of all names. */
  #mentions: ((file: string) => Iterable<string>) | undefined;

  constructor(graph: IncludeGraph, search: TreeSearch, joiners: Pasting, units: readonly string[]) {
    this.#graph = graph;
    this.#search = search;
    this.#pasting = joiners;
    this.#units = units;
  }

  get names(): readonly string[] {
    if (this.#list.length !== this.#names.size) this.#list = [...this.#names.keys()];
    return this.#list;
  }

  /** Follows the names until no further definition mentions one; gives the reason where that leads everywhere. */
  async follow(names: readonly string[], file: string): Promise<string | undefined> {
    for (const name of names) this.#add(name, file);
    let fresh = [...names];
    for (let round = 0; fresh.length > 0; round++) {
      if (round === MOST_ROUNDS || this.#names.size > MOST_NAMES) return 'too many definitions use what changed';
      const before = new Set(this.names);
      const { naming, joining } = await this.#candidates(fresh, 'headers');
      if (naming.size > MOST_HEADERS) return `${naming.size} headers mention what changed`;
      for (const header of naming) this.#read(header, fresh);
      const mentions = this.#search.mentions(this.#pasting.participants(fresh));
      for (const header of joining) {
        if (this.#pasting.makes(fresh, JOIN, mentions(header)) === undefined) continue;
        if (this.#pasting.makes(fresh, this.#search.text(header)) !== undefined) this.#read(header, fresh);
      }
      for (const [open, name] of this.#open) {
        if (this.#units.every((unit) => this.#reach(open).has(unit)))
          return `${open} uses ${name}, and all of them include it`;
      }
      fresh = this.names.filter((name) => !before.has(name));
    }
    return undefined;
  }

  /** The units that mention a name, or that include a file in which names do not tell; with the names. */
  async users(): Promise<Map<string, Set<string>>> {
    const kept = new Map<string, Set<string>>();
    for (const [file, name] of this.#open) {
      for (const unit of this.#units) if (this.#reach(file).has(unit)) kept.set(unit, new Set([name]));
    }
    const rest = this.#units.filter((unit) => !kept.has(unit));
    const { naming, joining } = await this.#candidates(this.names, rest);
    for (const unit of [...naming, ...joining]) {
      const used = this.#usedBy(unit).filter((name) => {
        return [...this.#names.get(name)!].some((file) => this.#reach(file).has(unit));
      });
      if (used.length > 0) kept.set(unit, new Set(used));
    }
    return kept;
  }

  /** Files that mention one of the names, and others that have words from which macros could make one. */
  async #candidates(
    names: readonly string[],
    files: readonly string[] | 'headers',
  ): Promise<{ naming: Set<string>; joining: Set<string> }> {
    const { hints, macros } = this.#pasting.recipe(names);
    const [some, any] = await Promise.all([
      this.#search.containing([...new Set([...names, ...hints])], files),
      this.#joiners(files),
    ]);
    const [naming, calling] = await Promise.all([
      this.#search.containing(names, some),
      this.#search.containing([...macros], some),
    ]);
    const found = new Set(naming);
    return { naming: found, joining: new Set([...calling, ...any].filter((file) => !found.has(file))) };
  }

  /**
   * Files that can join any words. The macros of headers are known with their pieces, so of these only those that call a
   * macro without pieces; a unit's own macros are unknown.
   */
  async #joiners(files: readonly string[] | 'headers'): Promise<readonly string[]> {
    if (files !== 'headers') return this.#search.containing([JOIN, ...this.#pasting.anyJoiners], files);
    this.#joining ??= this.#search.containing(this.#pasting.anyJoiners, files);
    return this.#joining;
  }

  /** The names that the text of a unit mentions, or could make. */
  #usedBy(unit: string): string[] {
    // A list that a macro of the unit is applied to is in files that are included after the macro.
    const lists = this.#search.text(unit).includes(JOIN)
      ? [...this.#graph.includedBy([unit])].filter((path) => path !== unit && !/^(include|arch)\//.test(path))
      : [];
    this.#mentions ??= this.#search.mentions([...this.names, ...this.#pasting.participants(this.names)]);
    const own = [...this.#mentions(unit)];
    const listed = lists.flatMap((path) => [...this.#mentions!(path)]);
    // The index is quick and may say too much, as of comments: the text decides.
    const makes = (text: string, words: readonly string[]): string | undefined =>
      this.#pasting.makes(this.names, text, [...words, ...listed]);
    if (!own.some((word) => this.#names.has(word)) && makes(JOIN, own) === undefined) return [];
    const text = withoutComments(this.#search.text(unit));
    const words = wordsOf(text);
    const used = this.names.filter((name) => words.has(name));
    if (used.length > 0) return used;
    const made = makes(text, []);
    return made === undefined ? [] : [made];
  }

  /** Adds what in this header mentions one of the names. */
  #read(file: string, names: readonly string[]): void {
    if (this.#open.has(file)) return;
    const mentions = (text: string): string | undefined => {
      const words = wordsOf(text);
      return names.find((name) => words.has(name)) ?? this.#pasting.makes(names, text);
    };
    const text = this.#search.text(file);
    if (!file.endsWith('.h')) {
      const name = mentions(withoutComments(text));
      if (name !== undefined) this.#open.set(file, name);
      return;
    }
    for (const item of headerItems(text)) {
      if (item.kind === 'assertion' || /^# include\w* ["<]/.test(item.text)) continue;
      const name = mentions(item.text);
      if (name === undefined) continue;
      if (item.kind === 'open' || item.kind === 'conditional' || item.kind === 'include') {
        this.#open.set(file, name);
        return;
      }
      for (const own of item.names) this.#add(own, file);
    }
  }

  #add(name: string, file: string): void {
    this.#names.set(name, (this.#names.get(name) ?? new Set()).add(file));
  }

  #reach(file: string): ReadonlySet<string> {
    const known = this.#reaching.get(file) ?? this.#graph.reaching([file]);
    this.#reaching.set(file, known);
    return known;
  }
}
