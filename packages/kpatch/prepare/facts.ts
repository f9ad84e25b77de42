/** What is known of a target kernel, each thing read when it is first asked for: one place for all rooms that need kernel facts. */
import { basename, join } from 'node:path';
import { cacheRoot } from '../base/workspace.ts';
import { STB, STT } from '../formats/elf/constants.ts';
import { ElfFile } from '../formats/elf/file.ts';
import { modinfoOf, modinfoValue } from '../formats/elf/modinfo.ts';
import { symbolKinds } from '../formats/symbol-kind.ts';
import { type IncludeGraph, includeGraph, includeSearch } from '../kbuild/include-graph.ts';
import { type KbuildVariables, kbuildVariables } from '../kbuild/kbuild.ts';
import { type ObjectMap, objectMap } from '../kbuild/object-map.ts';
import { targetFacts } from '../kbuild/structures.ts';
import { type KernelConfig, readConfig } from '../kernel/config.ts';
import { KernelImage } from '../kernel/image.ts';
import type { Kallsyms } from '../kernel/kallsyms/kallsyms.ts';
import { loadKallsyms } from '../kernel/kallsyms/kallsyms-file.ts';
import { KernelModules } from '../kernel/modules.ts';
import { readSymvers, type Symvers } from '../kernel/symvers.ts';
import type { TargetKernel } from '../kernel/target.ts';
import type { KernelRules } from '../platform/kernel-rules.ts';
import { requirePlatform } from '../platform/registry.ts';
import { structuresOf } from '../platform/structures.ts';

/** Where what is derived from a kernel is kept: another build of the same release has another folder. */
export function derivedFolder({ paths, buildId }: TargetKernel): string {
  return join(cacheRoot(), 'derived', `${basename(paths.root)}-${buildId?.slice(0, 16) ?? 'unknown'}`);
}

export class KernelFacts {
  readonly kernel: TargetKernel;
  /** A folder for what is derived from the kernel; it can be removed at any time. */
  readonly derived: string;
  #config: KernelConfig | undefined;
  #symvers: Symvers | undefined;
  #kallsyms: Kallsyms | undefined;
  #image: KernelImage | undefined;
  #modules: KernelModules | undefined;
  #variables: Promise<KbuildVariables> | undefined;
  #objects: Promise<ObjectMap> | undefined;
  #rules: Promise<KernelRules> | undefined;
  #includes: Promise<IncludeGraph> | undefined;
  readonly #symbols = new Map<string, Promise<readonly ObjectSymbol[]>>();
  readonly #moduleFiles = new Map<string, Promise<ElfFile>>();

  constructor(kernel: TargetKernel) {
    this.kernel = kernel;
    this.derived = derivedFolder(kernel);
  }

  get config(): KernelConfig {
    this.#config ??= readConfig(this.kernel.paths.config);
    return this.#config;
  }

  get symvers(): Symvers {
    this.#symvers ??= readSymvers(this.kernel.paths.symvers);
    return this.#symvers;
  }

  get kallsyms(): Kallsyms {
    this.#kallsyms ??= loadKallsyms(this.kernel.paths.kallsyms);
    return this.#kallsyms;
  }

  get image(): KernelImage {
    this.#image ??= KernelImage.open(this.kernel.paths.vmlinux);
    return this.#image;
  }

  get modules(): KernelModules {
    this.#modules ??= new KernelModules(this.kernel);
    return this.#modules;
  }

  /** See `kbuildVariables`. */
  variables(): Promise<KbuildVariables> {
    this.#variables ??= kbuildVariables(this.kernel.paths.tree, this.kernel.compiler, this.derived);
    return this.#variables;
  }

  /** See `objectMap`. */
  objects(): Promise<ObjectMap> {
    this.#objects ??= this.variables().then((all) => objectMap(this.kernel.paths.tree, all, this.derived));
    return this.#objects;
  }

  /**
   * What rules depend on: the version, the configuration, and what the kernel's own headers say (asked once, see
   * kbuild/structures.ts). Errors: `kernel-structures`, `platform-unknown`.
   */
  rules(): Promise<KernelRules> {
    this.#rules ??= this.#askRules();
    return this.#rules;
  }

  async #askRules(): Promise<KernelRules> {
    const { version, arch, paths } = this.kernel;
    const { config } = this;
    const known: KernelRules = {
      major: version.major,
      minor: version.minor,
      config: (name) => ['y', 'm'].includes(config.get(name) ?? 'n'),
    };
    const platform = requirePlatform('uname', arch);
    const target = await targetFacts(
      {
        tree: paths.tree,
        variables: await this.variables(),
        structures: structuresOf(platform, known),
        headers: platform.structureHeaders ?? [],
      },
      this.derived,
    );
    return { ...known, target };
  }

  /** See `includeGraph`. */
  includes(): Promise<IncludeGraph> {
    this.#includes ??= Promise.all([this.variables(), this.objects()]).then(([variables, objects]) =>
      includeGraph(this.kernel.paths.tree, includeSearch(variables), objects.keys(), this.derived),
    );
    return this.#includes;
  }

  /** The file of a module of this kernel. Error: `kernel-module-unknown`. */
  moduleFile(name: string): Promise<ElfFile> {
    const found =
      this.#moduleFiles.get(name) ?? this.modules.read(name).then((bytes) => new ElfFile(bytes, `${name}.ko`));
    this.#moduleFiles.set(name, found);
    return found;
  }

  /** Names of the modules that are loaded whenever this one is: those that it depends on, and theirs. */
  async requiredBy(name: string): Promise<ReadonlySet<string>> {
    const required = new Set<string>();
    const open = [name];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const depends = modinfoValue(modinfoOf(await this.moduleFile(next)), 'depends') ?? '';
      for (const module of depends.split(',').map((one) => one.replaceAll('-', '_'))) {
        if (module === '' || required.has(module)) continue;
        required.add(module);
        open.push(module);
      }
    }
    return required;
  }

  /** Takes a module in that the kernel's packages do not have, under the name that the kernel gives it. */
  addModule(name: string, file: ElfFile): void {
    this.#moduleFiles.set(name, Promise.resolve(file));
    this.#symbols.delete(name);
  }

  /** The symbols of vmlinux or of a module in the order in which livepatch counts equal names. */
  symbolsOf(object: string): Promise<readonly ObjectSymbol[]> {
    const found = this.#symbols.get(object) ?? this.#readSymbols(object);
    this.#symbols.set(object, found);
    return found;
  }

  async #readSymbols(object: string): Promise<ObjectSymbol[]> {
    if (object !== 'vmlinux') return moduleSymbols(await this.moduleFile(object));
    const kindOf = symbolKinds((name) => this.kallsyms.lookup(name)[0]?.address);
    return [...this.kallsyms].map((symbol) => {
      const { name, address, type } = symbol;
      const bind = type === type.toLowerCase() && type !== 'w' && type !== 'v' ? 'local' : 'global';
      return { name, address, kind: kindOf(symbol), bind, weak: /[wWvV]/.test(type) };
    });
  }
}

/** A symbol of a kernel object, as far as the kernel itself knows it. */
export interface ObjectSymbol {
  readonly name: string;
  /** Link address in vmlinux, offset in its section in a module. */
  readonly address: bigint;
  readonly kind: 'function' | 'object' | 'other';
  readonly bind: 'local' | 'global';
  readonly weak: boolean;
  /** Bytes; unknown in kallsyms. */
  readonly size?: number;
}

/**
 * The kernel counts a module's symbols in the order of its table (kernel/module/kallsyms.c), and keeps none of its init
 * sections.
 */
function moduleSymbols(file: ElfFile): ObjectSymbol[] {
  const symbols: ObjectSymbol[] = [];
  for (const { name, value, type, bind, shndx, size } of file.symbols()) {
    if (name === '' || shndx === 0 || type === STT.SECTION || type === STT.FILE) continue;
    if (file.sections[shndx]?.name.startsWith('.init')) continue;
    const kind = type === STT.FUNC ? 'function' : type === STT.OBJECT ? 'object' : 'other';
    const known = { name, address: value, kind, size, weak: bind === STB.WEAK } as const;
    symbols.push({ ...known, bind: bind === STB.LOCAL ? 'local' : 'global' });
  }
  return symbols;
}
