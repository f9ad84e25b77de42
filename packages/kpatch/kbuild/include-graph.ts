/**
 * Which files of a prepared kernel include which, found from the text of all of them without a build. The compiler's rules
 * (GCC manual, "Search Path"; kbuild's order: LINUXINCLUDE before a Makefile's own -I) decide where a name leads; where
 * they do not (a folder that only one Makefile names) every file that the name could mean counts. So the graph has every
 * edge that any configuration has, and some more: a unit that it does not list cannot include the file.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { writeAtomically } from '../base/files.ts';
import { run, runOk } from '../base/run.ts';
import type { DocumentOf } from '../documents/form.ts';
import { keptDocument } from '../documents/kept.ts';
import { platformHere } from '../platform/registry.ts';
import { copiedSources, copyRule } from './copied-sources.ts';
import { Products, Resolver } from './include-resolve.ts';
import type { KbuildVariables } from './kbuild.ts';

/** What of kbuild's settings decides where an include leads. */
export interface IncludeSearch {
  /** Folder below `arch/`. */
  readonly sourceArch: string;
  /** Folders of LINUXINCLUDE in their order, relative to the tree. */
  readonly folders: readonly string[];
  /** Files that the command line includes into every unit. */
  readonly forced: readonly string[];
}

/** Reads the search path from what kbuild exports. */
export function includeSearch(variables: KbuildVariables): IncludeSearch {
  const words = (variables.LINUXINCLUDE ?? '').split(/\s+/).filter((word) => word !== '');
  const folders: string[] = [];
  // c_flags of scripts/Makefile.lib adds this one to those of LINUXINCLUDE.
  const forced = ['include/linux/compiler_types.h'];
  words.forEach((word, index) => {
    const folder = word === '-I' ? words[index + 1] : /^-I(.+)/.exec(word)?.[1];
    if (folder !== undefined && !folder.startsWith('/')) folders.push(posix.normalize(folder));
    const file = words[index + 1];
    if (word === '-include' && file !== undefined) forced.push(posix.normalize(file));
  });
  return { sourceArch: variables.SRCARCH ?? platformHere().naming.source, folders, forced };
}

/** The graph as it is kept. */
type Data = DocumentOf<'kpatch.include-graph'>;

/** Which files include which. All paths are relative to the tree. */
export class IncludeGraph {
  readonly #files: readonly string[];
  readonly #number = new Map<string, number>();
  readonly #includers: number[][];
  readonly #included: number[][];
  readonly #generated: ReadonlySet<number>;
  readonly #forced: readonly string[];
  readonly #copies = new Map<string, string>();

  constructor(data: Data) {
    this.#files = data.files;
    this.#includers = data.files.map(() => []);
    this.#included = data.files.map(() => []);
    data.files.forEach((file, index) => void this.#number.set(file, index));
    for (let at = 0; at + 1 < data.edges.length; at += 2) {
      this.#included[data.edges[at]!]?.push(data.edges[at + 1]!);
      this.#includers[data.edges[at + 1]!]?.push(data.edges[at]!);
    }
    for (let at = 0; at + 1 < data.copies.length; at += 2)
      this.#copies.set(data.files[data.copies[at]!]!, data.files[data.copies[at + 1]!]!);
    this.#generated = new Set(data.generated);
    this.#forced = data.forced;
  }

  /** Whether the graph knows the file: it includes something or is included somewhere. */
  has(file: string): boolean {
    return this.#number.has(file);
  }

  /**
   * Every file that includes one of these, directly or not, and these themselves. That is every file where one of
   * these is included by the command line.
   */
  reaching(files: readonly string[]): Set<string> {
    const seen = this.#named(this.#walk(files, this.#includers));
    for (const file of files) seen.add(file);
    return this.#forced.some((file) => seen.has(file)) ? new Set([...seen, ...this.#files]) : seen;
  }

  /** Every file that these include, directly or not, and these themselves. */
  includedBy(files: Iterable<string>): Set<string> {
    return this.#named(this.#walk(files, this.#included));
  }

  /** The files that include this one themselves. */
  includersOf(file: string): string[] {
    return (this.#includers[this.#number.get(file) ?? -1] ?? []).map((index) => this.#files[index]!);
  }

  /** Whether some file includes this one. */
  isIncluded(file: string): boolean {
    return (this.#includers[this.#number.get(file) ?? -1]?.length ?? 0) > 0 || this.#forced.includes(file);
  }

  /** Every file that some file includes. */
  headers(): string[] {
    return this.#files.filter((file) => this.isIncluded(file));
  }

  /** Whether this file is, or itself includes, what is only generated when it is compiled. */
  isGenerated(file: string): boolean {
    return this.#generated.has(this.#number.get(file) ?? -1);
  }

  /** The source from which kbuild compiles a unit that is not there by a rule of its Makefile (kbuild/copied-sources.ts). */
  copiedFrom(unit: string): string | undefined {
    return this.#copies.get(unit);
  }

  #walk(files: Iterable<string>, edges: readonly (readonly number[])[]): Set<number> {
    const seen = new Set([...files].map((file) => this.#number.get(file)).filter((index) => index !== undefined));
    for (const file of seen) for (const next of edges[file]!) seen.add(next); // a set's walk meets what is added to it
    return seen;
  }

  #named(numbers: Iterable<number>): Set<string> {
    return new Set(Array.from(numbers, (index) => this.#files[index]!));
  }
}

/** Raised when what is kept changes. */
const FORMAT = 2;

/** Like `readIncludeGraph`, kept in `folder` between calls. */
export async function includeGraph(
  tree: string,
  search: IncludeSearch,
  objects: Iterable<string>,
  folder: string,
): Promise<IncludeGraph> {
  const file = join(folder, `include-graph-${FORMAT}.json`);
  const known = keptDocument('kpatch.include-graph', file);
  if (known !== undefined) return new IncludeGraph(known);
  const data = await readIncludes(tree, search, objects);
  mkdirSync(folder, { recursive: true });
  writeAtomically(file, JSON.stringify(data));
  return new IncludeGraph(data);
}

/**
 * Reads the include lines of the whole tree; about three seconds. `objects` are the object files that the kernel is built
 * from (the keys of the object map): some of their sources only exist while the kernel is built.
 * Missing includes and circles are not errors.
 */
export async function readIncludeGraph(
  tree: string,
  search: IncludeSearch,
  objects: Iterable<string>,
): Promise<IncludeGraph> {
  return new IncludeGraph(await readIncludes(tree, search, objects));
}

/** Folders with nothing that a kernel's code includes. */
const notSource = /^(Documentation|LICENSES|samples|usr|debian|\..*)$/;

/** The folders of the tree that a kernel of this architecture can be made of. */
export function sourceFolders(tree: string, sourceArch: string): string[] {
  const folders = readdirSync(tree, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = folders.map(({ name }) => name).filter((name) => name !== 'arch' && !notSource.test(name));
  return existsSync(join(tree, 'arch', sourceArch)) ? [...names, `arch/${sourceArch}`] : names;
}

const directive =
  '^[[:space:]]*(/[*][^*]*[*]/[[:space:]]*)?#[[:space:]]*(include|define[[:space:]]+[A-Za-z_0-9]+[[:space:]]+[<"][^>"]+[.](h|c|inc)[>"]|define[[:space:]]+TRACE_INCLUDE_FILE)';
/** An include line that a program or script prints. */
const printed = `["'].*#[[:space:]]*include[[:space:]]*[\\]?[<"]`;
const literal = /#\s*(?:include(?:_next)?|define\s+(\w+))\s*(?:"([^"]+)"|<([^>]+)>)/;

/** Collects edges between files by number. */
class Edges {
  readonly files: string[] = [];
  readonly pairs: number[] = [];
  readonly #numbers = new Map<string, number>();

  number(file: string): number {
    const known = this.#numbers.get(file) ?? this.files.push(file) - 1;
    this.#numbers.set(file, known);
    return known;
  }

  add(file: string, targets: Iterable<string>): void {
    for (const target of targets) this.pairs.push(this.number(file), this.number(target));
  }
}

async function readIncludes(tree: string, search: IncludeSearch, objects: Iterable<string>): Promise<Data> {
  const folders = sourceFolders(tree, search.sourceArch);
  const code = folders.filter((folder) => folder !== 'tools');
  const options = { cwd: tree, env: { LC_ALL: 'C' } };
  // grep ends with 1 where no line matches, and with 2 where a file could not be read: neither is an error here.
  const grep = async (...args: string[]): Promise<string[]> => {
    const { stdout } = await run('grep', args, options);
    return stdout.toString().split('\n');
  };
  const [list, lines, made, print, rules] = await Promise.all([
    runOk('find', [...folders, '-type', 'f'], options),
    grep('-rIE', directive, ...folders),
    grep('-roE', '--include=Makefile', '--include=Kbuild', '[A-Za-z0-9_.-]+[.](h|c|inc)', ...code),
    grep('-rIhE', printed, ...code),
    grep('-rlE', '--include=Makefile', '--include=Kbuild', copyRule, ...code),
  ]);
  const files = list.stdout.toString().split('\n');
  const resolver = new Resolver(files, search.folders);
  const products = new Products(made, files);
  const edges = new Edges();
  const generated = new Set<string>();
  const computed: [file: string, name: string][] = [];
  const defined = new Set<string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const file = line.slice(0, colon);
    const text = line.slice(colon + 1);
    const [, macro, quoted, angled] = literal.exec(text) ?? [];
    const name = quoted ?? angled ?? tracedName(text, file);
    if (name === undefined) {
      const called = /#\s*include(?:_next)?\s+(\w+)/.exec(text)?.[1];
      if (called !== undefined) computed.push([file, called]);
      continue;
    }
    // A header that is included by the value of a macro is taken for one that the macro's file includes.
    if (macro !== undefined) defined.add(macro);
    const targets = resolver.find(file, name, quoted !== undefined, text.includes('include_next'));
    edges.add(file, targets);
    if (targets.length === 0 && products.has(file, name)) generated.add(file);
  }
  for (const [file, name] of computed) {
    // CONFIG_ names are files that the user gives when configuring; TRACE_INCLUDE is handled where its name is defined.
    if (!defined.has(name) && !/^CONFIG_|^TRACE_INCLUDE$/.test(name)) generated.add(file);
  }
  const all = new Set(files);
  const makefiles = rules.filter((path) => path !== '');
  const copies = makefiles
    .flatMap((path) => copiedSources(path, readFileSync(join(tree, path), 'latin1')))
    .filter(({ unit, source }) => !all.has(unit) && all.has(source));
  for (const { unit, source } of copies) edges.add(unit, [source]);
  const copied = new Set(copies.map(({ unit }) => unit));
  for (const object of objects) {
    const sources = products.sourcesOf(object);
    if (sources === undefined || copied.has(sources.unit) || copied.has(sources.unit.replace(/c$/, 'S'))) continue;
    generated.add(sources.unit);
    edges.add(sources.unit, sources.from);
  }
  // What is generated includes nothing but what its generators print.
  const prints = print.flatMap((line) =>
    [...line.matchAll(/#\s*include\s*\\?["<]([^">\\]+)/g)].map(([, name]) => name!),
  );
  const printedFiles = [...new Set(prints)].flatMap((name) => resolver.find('', name, false, false));
  for (const file of generated) edges.add(file, printedFiles);
  const numbers = Array.from(generated, (file) => edges.number(file));
  return {
    files: edges.files,
    edges: edges.pairs,
    generated: numbers,
    copies: copies.flatMap(({ unit, source }) => [edges.number(unit), edges.number(source)]),
    forced: search.forced,
  };
}

/** include/trace/define_trace.h includes TRACE_INCLUDE_FILE.h, nearly always the header itself. */
function tracedName(text: string, file: string): string | undefined {
  const name = /#\s*define\s+TRACE_INCLUDE_FILE\s+(\w+)/.exec(text)?.[1];
  return name === undefined || name === 'TRACE_SYSTEM' || posix.basename(file) === `${name}.h`
    ? undefined
    : `${name}.h`;
}
