/** What the report shows in addition to the proof: source patches, machine code, callers. */

import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import type { ElfObject, ElfSymbol } from '../../formats/elf/object.ts';
import { readObject } from '../../formats/elf/read-object.ts';
import type { KernelImage } from '../../kernel/image.ts';
import type { Kallsyms } from '../../kernel/kallsyms/kallsyms.ts';
import type { HazardNote } from '../../module/manifest.ts';
import type { ReplacedFunction } from '../../module/tables.ts';
import type { CodeLine } from '../../platform/common/listing.ts';
import { functionName, type Subject } from '../input/subject.ts';
import { type CallPlace, callersOf } from './callers.ts';
import { codeInModule, oldCode } from './machine-code.ts';

export interface ShownPatch {
  readonly name: string;
  readonly text: string;
}

export interface ReplacedCode {
  readonly func: ReplacedFunction;
  readonly name: string;
  /** Undefined if the old code was not found. */
  readonly old: readonly CodeLine[] | undefined;
  readonly renewed: readonly CodeLine[] | undefined;
  readonly callers: readonly CallPlace[];
}

export interface ReportFacts {
  readonly patches: readonly ShownPatch[];
  readonly functions: readonly ReplacedCode[];
  /** What the review found in the patch; undefined if it was not reviewed. */
  readonly hazards?: readonly HazardNote[];
}

/** The symbols and code of the kernel; without them the report has no machine code. */
export interface CodeSources {
  readonly image: KernelImage;
  readonly kallsyms: Kallsyms;
  /** The files of the kernel modules that the patch changes, by name. */
  readonly modules: ReadonlyMap<string, ElfObject>;
}

/** Reads a source patch and verifies that the module was built from it. Errors: `file-unreadable`, `prove-other-patch`. */
export function readSourcePatch(file: string, subject: Subject): ShownPatch {
  const bytes = readBytes(file);
  const digest = sha256(bytes);
  const known = subject.manifest?.patches.find((patch) => patch.sha256 === digest);
  if (subject.manifest !== undefined && known === undefined) {
    throw failure('prove-other-patch', { file, module: subject.file }, { where: { file } });
  }
  return { name: known?.name ?? file, text: bytes.toString('utf8') };
}

/** Collects the facts; `functions` are those listed by livepatch or by the manifest. */
export function reportFacts(
  subject: Subject,
  functions: readonly ReplacedFunction[],
  kernel: CodeSources | undefined,
  patches: readonly ShownPatch[],
): ReportFacts {
  const module = readObject(subject.bytes, subject.file);
  const addresses = functions.map((func) => (kernel === undefined ? undefined : addressOf(kernel.kallsyms, func)));
  const known = addresses.filter((address) => address !== undefined);
  const callers =
    kernel === undefined ? new Map<bigint, CallPlace[]>() : callersOf(kernel.image, kernel.kallsyms, known);
  return {
    patches,
    ...(subject.manifest?.review === undefined ? {} : { hazards: subject.manifest.review }),
    functions: functions.map((func, at) => {
      const address = addresses[at];
      const symbol = newSymbol(module, func.name);
      return {
        func,
        name: functionName(func),
        old: address === undefined ? oldModuleCode(kernel, func) : oldCode(kernel!.image, kernel!.kallsyms, address),
        renewed: symbol === undefined ? undefined : codeInModule(module, symbol),
        callers: address === undefined ? [] : (callers.get(address) ?? []),
      };
    }),
  };
}

/** The new function: it has the same name, or one derived from it in modules of other tools. Never the padding symbol. */
function newSymbol(module: ElfObject, old: string): ElfSymbol | undefined {
  const code = module.symbols.filter(({ name, size }) => size > 0 && !/^__(pfx|cfi)_/.test(name));
  return code.find(({ name }) => name === old) ?? code.find(({ name }) => name.endsWith(`_${old}`));
}

/** Positions of equal names follow the order of the symbol table of the module, as in livepatch. */
function oldModuleCode(
  kernel: CodeSources | undefined,
  { object, name, sympos }: ReplacedFunction,
): CodeLine[] | undefined {
  const module = kernel?.modules.get(object);
  const places = module?.symbols.filter((symbol) => symbol.name === name && typeof symbol.section === 'object') ?? [];
  const symbol = places[Math.max(0, sympos - 1)];
  return symbol === undefined ? undefined : codeInModule(module!, symbol);
}

function addressOf(kallsyms: Kallsyms, { object, name, sympos }: ReplacedFunction): bigint | undefined {
  if (object !== 'vmlinux') return undefined;
  return kallsyms.lookup(name)[Math.max(0, sympos - 1)]?.address;
}
