/** Input and output of the differ, as plain data. */
import type { KernelRules } from '../platform/kernel-rules.ts';
import type { UnitPatch } from './patch.ts';

/** A symbol of the object that is patched (the kernel image or a module), as the kernel's kallsyms has it. */
export interface TargetSymbol {
  readonly name: string;
  readonly kind: 'function' | 'object' | 'other';
  readonly bind: 'local' | 'global';
  /** True if it is known to be weak: another definition of the same name overrides it. */
  readonly weak?: boolean;
  readonly address?: bigint;
  readonly size?: number;
  /** The source file that a symbol table with FILE symbols puts it in; absent for kallsyms and for global symbols. */
  readonly file?: string;
}

/** An exported symbol, a line of `Module.symvers`. */
export interface ExportedSymbol {
  /** `vmlinux`, or the module as its path or name. */
  readonly module: string;
  readonly gpl: boolean;
  readonly namespace?: string;
}

/** Asked when a static symbol occurs several times in the kernel: which one is this object's? */
export interface AmbiguousSymbol {
  readonly name: string;
  readonly kind: 'function' | 'object';
  /** The original object's name for messages. */
  readonly file: string;
  /** How many symbols of that name and kind there are. */
  readonly count: number;
}

export interface DiffOptions {
  /** Names of the two files for messages. */
  readonly names: { readonly original: string; readonly patched: string };
  /** `vmlinux` or the name of the module that the objects are part of. */
  readonly object: string;
  readonly kernel: KernelRules;
  /** What `Module.symvers` says about a name. */
  readonly exported: (name: string) => ExportedSymbol | undefined;
  /**
   * The symbols of `object` that kallsyms shows, in its order (for a module: its defined symbols outside of init sections,
   * in the order of `.symtab`). Positions (sympos) are counted in this list.
   */
  readonly symbols: readonly TargetSymbol[];
  /** Those of `vmlinux` where `object` is a module: its code can be given what the kernel does not export. */
  readonly kernelSymbols?: readonly TargetSymbol[];
  /** Gives the position (1, 2, ...) of an ambiguous symbol among those of its name, or undefined if it is unknown. */
  readonly resolve?: (symbol: AmbiguousSymbol) => number | undefined;
  /** Structures (`struct inode`, `union u`, a typedef's name) whose change of layout the user has judged to be safe. */
  readonly acceptLayouts?: readonly string[];
  /** Source line numbers count as changes. */
  readonly keepLineChanges?: boolean;
  /**
   * Bytes of an entry by section name. They choose between sizes that fit the object's relocations; a wrong one is noted.
   */
  readonly entrySizes?: Readonly<Record<string, number>>;
  /**
   * Changed `__init` and `__exit` parts of a module are left out with a note as those of the kernel image always are. They
   * take no effect until the module is built again, so this is for the user to decide.
   */
  readonly leaveOutInit?: boolean;
}

/** Why a function is changed, or why something is included. */
export interface Reason {
  /** One sentence without a full stop, for people. */
  readonly text: string;
  /** Where the difference was seen, in bytes from the function's start, in the original and in the patched version. */
  readonly offset?: number;
  readonly patchedOffset?: number;
}

export interface ChangedFunction {
  /** As the kernel knows it, that is by the original object. */
  readonly name: string;
  /** Its name in the patched object, where that is another one. */
  readonly patchedName: string;
  readonly aliases: readonly string[];
  readonly section: string;
  readonly kind: 'changed' | 'new';
  readonly bind: 'local' | 'global';
  /** Position among the symbols of that name, 0 if it is unique; undefined for new functions. */
  readonly sympos: number | undefined;
  readonly reasons: readonly Reason[];
  /** Bytes of the original and the patched version. */
  readonly originalSize: number;
  readonly size: number;
  /** First source line of the patched version, where debug information tells. */
  readonly source?: string;
}

/** Something beside functions that is included in the module. */
export interface Travelling {
  readonly name: string;
  readonly kind: 'data' | 'constant' | 'string' | 'copy' | 'cold part' | 'fragment' | 'table entries' | 'callback';
  readonly section: string;
  readonly size: number;
  readonly reason: string;
}

/** A reference from what is included to what stays. */
export interface KernelReference {
  readonly name: string;
  /** `vmlinux` or a module; undefined if no definition was found (another object of the same patch may have one). */
  readonly object: string | undefined;
  readonly exported: boolean;
  readonly sympos: number;
}

/** A change that has no effect in the running kernel, so that the module does not contain it. */
export interface LeftOutChange {
  /**
   * `init`, `exit`: code or data used only when the kernel boots or a module is loaded or removed. `list`:
   * a list that the kernel reads at boot, which comes or goes. `overridden`: a weak
   * function, of which the kernel has another definition. `removed`: a global name that is gone. `export`, `module
   * information`: read by others from files. `section`: a section of an unknown kind that no code uses. `place`: a variable that is
   * kept in another way, read-only or aligned.
   */
  readonly reason:
    | 'init'
    | 'exit'
    | 'list'
    | 'overridden'
    | 'removed'
    | 'export'
    | 'module information'
    | 'section'
    | 'place';
  readonly name: string;
  readonly section: string;
  /** What it is and why it has no effect, one phrase without a full stop. */
  readonly text: string;
}

export interface DiffResult {
  /**
   * `left out`: all changes are in `leftOut`, so nothing can be patched, but the objects do not mean the same. A kernel
   * that should have these changes needs a reboot.
   */
  readonly status: 'changed' | 'unchanged' | 'left out';
  readonly architecture: string;
  readonly object: string;
  readonly functions: readonly ChangedFunction[];
  readonly travelling: readonly Travelling[];
  /** True if the patch has a function that the kernel calls before or after an object is patched. */
  readonly callbacks: boolean;
  readonly references: readonly KernelReference[];
  /** Names of the new functions and data that other objects of the patch may refer to. */
  readonly defined: readonly string[];
  /** Names that neither the kernel nor an export defines: another object of the patch has to. */
  readonly unresolved: readonly string[];
  /** Namespaces of exported symbols that the module must import. */
  readonly namespaces: readonly string[];
  readonly leftOut: readonly LeftOutChange[];
  /** What was left out or handled in a special way, one sentence each. */
  readonly notes: readonly string[];
  /** What the module needs; new with each call. Only for `changed`. Error: `intermediate-malformed` for a wrong callback. */
  readonly patch: () => UnitPatch;
}
