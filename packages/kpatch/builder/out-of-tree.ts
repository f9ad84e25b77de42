/**
 * A module from outside of the kernel's tree: its source is built as its makers do (`make -C HEADERS M=FOLDER`), in a copy,
 * before and after the patch. kbuild itself finds what a change reaches, by the lists of dependencies that it keeps.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join, relative } from 'node:path';
import { fail } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { ElfFile } from '../formats/elf/file.ts';
import { modinfoOf, modinfoValue } from '../formats/elf/modinfo.ts';
import { noteText, readDependencies } from '../kbuild/compile.ts';
import { sectionFlags } from '../kbuild/kbuild.ts';
import { objtoolSettings } from '../kbuild/objtool.ts';
import { SourceOverlay } from '../kbuild/overlay.ts';
import type { Unit } from '../kbuild/unit.ts';
import { kernelFolders } from '../kernel/folders.ts';
import { unpackModule } from '../kernel/modules.ts';
import type { KernelFacts } from '../prepare/facts.ts';
import { readOutput, requireNoEscape } from '../sandbox/output.ts';
import { sandboxed, sandboxedOk } from '../sandbox/sandbox.ts';
import { giveTree } from '../sandbox/user.ts';
import { authorHeaders } from '../source/author-header-files.ts';
import type { SourcePatch } from '../source/patch.ts';
import { compilerArguments } from '../toolchain/compiler.ts';
import { type CompiledPair, emptyObject } from './pairs.ts';
import type { LeftOut } from './plan.ts';
import { isMakefile } from './rules/makefiles.ts';

export interface OutOfTreeModule {
  /** The module as it is installed, packed or not. */
  readonly module: string;
  /** The folder with its source and its Kbuild or Makefile. */
  readonly source: string;
}

/** A module file by the name that the kernel gives it. */
export interface GivenModule {
  readonly name: string;
  readonly file: ElfFile;
  /** The kernel release that it is for. */
  readonly release: string;
}

/** What kbuild makes; none of it is taken over into the copy. */
const product = /(?:\.(?:o|ko|a|mod|mod\.c|cmd|order|symvers|dwo)|(?:^|\/)(?:\.git|\.tmp_versions))$/;

/** Reads the module. Errors: `file-unreadable`, those of reading ELF, `oot-not-a-module`. */
export async function readGivenModule(path: string): Promise<GivenModule> {
  const file = new ElfFile(await unpackModule(readBytes(path), path), path);
  const info = modinfoOf(file);
  const name = modinfoValue(info, 'name')?.replaceAll('-', '_');
  const release = modinfoValue(info, 'vermagic')?.split(' ')[0];
  if (name === undefined || release === undefined)
    throw fail('oot-not-a-module', { file: path }, { where: { file: path } });
  return { name, file, release };
}

/** Makes the module known to the kernel's facts. Error: `oot-other-kernel`. */
export function addGivenModule(facts: KernelFacts, { name, file, release }: GivenModule): void {
  const wanted = facts.kernel.release;
  if (release !== wanted)
    throw fail('oot-other-kernel', { file: file.file, release, wanted }, { where: { file: file.file } });
  facts.addModule(name, file);
}

/** Says which changed files are neither code of the module nor what decides how it is built. */
export function filesLeftOut(patches: readonly SourcePatch[]): LeftOut[] {
  const files = [...new Set(patches.flatMap(({ files }) => files.map(({ path }) => path)))];
  const other = files.filter((file) => !['.c', '.h', '.inc', '.S'].includes(extname(file)) && !isMakefile(file));
  return other.map((file) => ({ file, reason: 'it is not code of the module' }));
}

/** Replaces the files whose names it reads by those of the folder `$1`; removes those that it does not have. */
const takeOver = `while IFS= read -r file; do
  rm -f -- "$file"
  [ ! -f "$1/$file" ] || { mkdir -p -- "$(dirname -- "$file")" && cp -- "$1/$file" "$file"; } || exit 1
done`;

export class OutOfTreeBuild {
  readonly #facts: KernelFacts;
  readonly #name: string;
  /** The copy: both versions are built in it, so that they have the same path. */
  readonly #copy: string;
  readonly #headers: string;
  readonly #jobs: number;
  /** Where the patches are applied: an overlay of the copy. */
  readonly overlay: SourceOverlay;
  readonly #originals = new Map<string, Uint8Array>();

  /** `folder` is an empty folder to work in. Error: `file-unreadable`. */
  constructor(facts: KernelFacts, name: string, source: string, folder: string, jobs: number) {
    this.#facts = facts;
    this.#name = name;
    this.#jobs = jobs;
    this.#copy = join(folder, 'source');
    this.#headers = join(folder, 'headers');
    if (!existsSync(source)) throw fail('file-unreadable', { file: source, reason: 'no such folder' });
    cpSync(source, this.#copy, { recursive: true, filter: (path) => path === source || !product.test(path) });
    mkdirSync(this.#headers);
    for (const [header, text] of authorHeaders()) writeFileSync(join(this.#headers, header), text);
    const patched = join(folder, 'patched');
    mkdirSync(patched);
    this.overlay = new SourceOverlay(this.#copy, patched);
    giveTree(this.#copy);
  }

  /** Builds the unpatched source. Errors: `compile-failed`, `oot-not-built`. */
  async before(): Promise<void> {
    await this.#make('before');
    for (const object of this.#objects()) this.#originals.set(object, readOutput(this.#copy, object));
  }

  /**
   * Takes the patched files over, builds again, and gives the units that differ: kbuild compiles anew what a header or a
   * Makefile reaches. Errors: `compile-failed`; `source-kind-unsupported` for a source file that is gone.
   */
  async after(): Promise<CompiledPair[]> {
    // In the sandbox too: what the first build left could lead a copy out of the folder.
    const view = { readOnly: [this.overlay.root], writable: [this.#copy] };
    const files = [...this.overlay.copies].map((file) => `${file}\n`).join('');
    await sandboxedOk('sh', ['-c', takeOver, 'take', this.overlay.root], { view, cwd: this.#copy, input: files });
    await this.#make('after');
    const objects = this.#objects();
    const gone = [...this.#originals.keys()].find((object) => !objects.includes(object));
    if (gone !== undefined) throw goneSource(gone);
    return objects.flatMap((object) => {
      const bytes = readOutput(this.#copy, object);
      const known = this.#originals.get(object);
      if (known !== undefined && Buffer.compare(bytes, known) === 0) return [];
      const read = readDependencies(noteText(this.#copy, object)).map((file) => relative(this.#copy, file));
      const owners = [{ object: this.#name, directory: dirname(object) }];
      const through = read.filter((file) => this.overlay.copies.has(file));
      const unit: Unit = { object, owners, through, added: known === undefined };
      const original = known ?? emptyObject(bytes, object);
      return [{ unit, original: { unit, bytes: original, read }, patched: { unit, bytes, read } }];
    });
  }

  /** The objects that the module is linked from, relative to the source. Error: `oot-not-built`. */
  #objects(): string[] {
    const files = readdirSync(this.#copy, { recursive: true, encoding: 'utf8' });
    const lists = files.filter((file) => file.endsWith('.mod'));
    const own = lists.find((file) => basename(file, '.mod').replaceAll('-', '_') === this.#name);
    if (own === undefined) {
      const built = lists.map((file) => basename(file, '.mod')).join(', ');
      throw fail('oot-not-built', { name: this.#name, built: built === '' ? 'nothing' : built });
    }
    const listed = readOutput(this.#copy, own)
      .toString()
      .split(/\s+/)
      .filter((word) => word.endsWith('.o'));
    // Paths from the root, or from the folder of the module since Linux 6.13.
    const paths = listed.map((path) => (path.startsWith('/') ? relative(this.#copy, path) : path));
    return paths.filter((path) => existsSync(join(this.#copy, path)));
  }

  async #make(when: 'before' | 'after'): Promise<void> {
    const { kernel, config } = this.#facts;
    const flags = `${sectionFlags} -ffile-prefix-map=${this.#copy}/= -I${this.#headers}`;
    // What the patched source leaves undefined may be a symbol that only a live patch can reach.
    const settings = [...objtoolSettings(config), 'CONFIG_DEBUG_INFO_BTF_MODULES=', 'KBUILD_MODPOST_WARN=1'];
    const place = ['-C', kernel.paths.headers, `M=${this.#copy}`, ...compilerArguments(kernel.compiler)];
    const args = [...place, `KCFLAGS=${flags}`, `-j${this.#jobs}`, ...settings, 'modules'];
    const view = { readOnly: [...kernelFolders(kernel.paths), this.#headers], writable: [this.#copy] };
    const result = await sandboxed('make', args, { view, env: { LC_ALL: 'C' }, timeoutMs: 1_800_000 });
    requireNoEscape(this.#copy);
    if (result.status === 0) return;
    const detail = result.stderr.split('\n').filter((line) => !/^make(\[\d+\])?: /.test(line));
    throw fail('compile-failed', { unit: `the module ${this.#name}`, when }, { detail: detail.slice(-60).join('\n') });
  }
}

function goneSource(object: string): Error {
  const target = object.replace(/\.o$/, '.c');
  const reason = 'its code stays in the running module, where other code may still call it';
  return fail(
    'source-kind-unsupported',
    { target, kind: 'a source file removed from the module', reason },
    { where: { file: target } },
  );
}
