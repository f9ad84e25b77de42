/**
 * The glue: the C file of a livepatch module that registers its functions with the livepatch core. It has static tables and
 * two short functions (before Linux 6.3 those of reload.ts too), so that it can be read and reviewed
 * (Documentation/livepatch/livepatch.rst, include/linux/livepatch.h).
 */
import { has, type KernelRules } from '../../platform/kernel-rules.ts';
import type { LoaderRules } from '../../platform/loader.ts';
import { CLEAR_RELOCATIONS, clearingAfter, clearingHeaders, clearRelocations, type FieldSizes } from './reload.ts';

export interface GlueFunction {
  /** The function that is replaced. */
  readonly name: string;
  readonly sympos: number;
  /** The symbol in the linked objects that replaces it. */
  readonly replacement: string;
}

/** Callbacks of one object, by the symbols that implement them. */
export interface GlueCallbacks {
  readonly pre_patch?: string;
  readonly post_patch?: string;
  readonly pre_unpatch?: string;
  readonly post_unpatch?: string;
}

export interface GlueObject {
  /** `vmlinux` or a module. */
  readonly object: string;
  readonly functions: readonly GlueFunction[];
  readonly callbacks: GlueCallbacks;
  /** True if livepatch relocations wait for this module. */
  readonly relocated: boolean;
}

export interface Glue {
  readonly name: string;
  /** One sentence for modinfo. */
  readonly description: string;
  readonly replace: boolean;
  readonly objects: readonly GlueObject[];
  readonly states: readonly { readonly id: number; readonly version: number }[];
  /** Namespaces of exported symbols that the module uses. */
  readonly namespaces: readonly string[];
  /** More modinfo fields, shown by modinfo(8). */
  readonly modinfo: readonly (readonly [key: string, value: string])[];
}

/** What of the livepatch interface a kernel has; see `features` of platform/kernel-rules.ts. */
export interface LivepatchInterface {
  /** klp_enable_patch registers by itself, and a patch can replace all others. */
  readonly replace: boolean;
  readonly states: boolean;
  /**
   * The fields of relocations that stay when a module is removed, so that it is refused when it comes back: Linux 5.8 to
   * 6.2; see reload.ts. Absent if nothing must be cleared.
   */
  readonly keepsRelocations?: FieldSizes;
  /** MODULE_IMPORT_NS takes a string. */
  readonly namespaceIsString: boolean;
}

/** The interface of a kernel, with the module loader of its machine. */
export function livepatchInterface(
  kernel: Pick<KernelRules, 'major' | 'minor' | 'target'>,
  loader: LoaderRules | undefined,
): LivepatchInterface {
  const fields = loader?.fieldSizes;
  const keeps = fields !== undefined && has(kernel, 'earlyRelocations') && !has(kernel, 'clearedRelocations');
  return {
    replace: has(kernel, 'atomicReplace'),
    states: has(kernel, 'states'),
    ...(keeps ? { keepsRelocations: fields } : {}),
    namespaceIsString: has(kernel, 'namespaceIsString'),
  };
}

/** Prints the C source. The same input gives the same text. */
export function printGlue(glue: Glue, kernel: LivepatchInterface): string {
  const symbols = [
    ...new Set(glue.objects.flatMap((object) => object.functions.map(({ replacement }) => replacement))),
  ];
  const callbacks = glue.objects.flatMap((object) => Object.entries(object.callbacks) as [CallbackName, string][]);
  const clears = kernel.keepsRelocations !== undefined && glue.objects.some(({ relocated }) => relocated);
  const { objects, code } = clears ? withClearing(glue.objects) : { objects: glue.objects, code: [] };
  const sections = [
    header(glue, clears),
    symbols.map((symbol) => `extern void ${symbol}(void);`).join('\n'),
    [...new Map(callbacks.map(([phase, symbol]) => [symbol, phase]))]
      .map(([symbol, phase]) => prototype(phase, symbol))
      .join('\n'),
    clears ? `static void ${CLEAR_RELOCATIONS}(struct klp_object *object);` : '',
    ...code,
    ...objects.map((object, index) => functionTable(object, index)),
    objectTable(objects),
    glue.states.length === 0 ? '' : stateTable(glue.states),
    patch(glue, kernel),
    clears ? clearRelocations(kernel.keepsRelocations!) : '',
    entryPoints(kernel),
    footer(glue, kernel),
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

type CallbackName = keyof GlueCallbacks;

function prototype(phase: CallbackName, symbol: string): string {
  return `extern ${phase === 'pre_patch' ? 'int' : 'void'} ${symbol}(struct klp_object *object);`;
}

/**
 * The objects with the callbacks that the kernel is told, and the code of those that are made here: they clear after the
 * author's.
 */
function withClearing(objects: readonly GlueObject[]): { objects: readonly GlueObject[]; code: readonly string[] } {
  const code: string[] = [];
  const told = objects.map((object, index) => {
    if (!object.relocated) return object;
    const own = object.callbacks.post_unpatch;
    const name = own === undefined ? CLEAR_RELOCATIONS : `livepatch_post_unpatch_${index}`;
    if (own !== undefined) code.push(clearingAfter(own, name));
    return { ...object, callbacks: { ...object.callbacks, post_unpatch: name } };
  });
  return { objects: told, code };
}

function header(glue: Glue, clears: boolean): string {
  return [
    '// SPDX-License-Identifier: GPL-2.0-or-later',
    `/* ${glue.name}: registers the functions of this live patch with the kernel. Generated by kpatch. */`,
    ...['livepatch', 'module', ...(clears ? clearingHeaders : [])].sort().map((name) => `#include <linux/${name}.h>`),
  ].join('\n');
}

function functionTable({ functions }: GlueObject, index: number): string {
  const entries = functions.map(({ name, sympos, replacement }) => {
    const position = sympos === 0 ? '' : `\n\t\t.old_sympos = ${sympos},`;
    return `\t{\n\t\t.old_name = ${quote(name)},\n\t\t.new_func = ${replacement},${position}\n\t},`;
  });
  return `static struct klp_func livepatch_functions_${index}[] = {\n${[...entries, '\t{ }'].join('\n')}\n};`;
}

function objectTable(objects: readonly GlueObject[]): string {
  const entries = objects.map(({ object, callbacks }, index) => {
    const name = object === 'vmlinux' ? '\t\t/* no name: vmlinux */' : `\t\t.name = ${quote(object)},`;
    const hooks = (Object.entries(callbacks) as [string, string][]).map(
      ([phase, symbol]) => `\n\t\t.callbacks.${phase} = ${symbol},`,
    );
    return `\t{\n${name}\n\t\t.funcs = livepatch_functions_${index},${hooks.join('')}\n\t},`;
  });
  return `static struct klp_object livepatch_objects[] = {\n${[...entries, '\t{ }'].join('\n')}\n};`;
}

function stateTable(states: Glue['states']): string {
  const entries = states.map(({ id, version }) => `\t{ .id = ${id}, .version = ${version} },`);
  return `static struct klp_state livepatch_states[] = {\n${[...entries, '\t{ }'].join('\n')}\n};`;
}

function patch(glue: Glue, kernel: LivepatchInterface): string {
  const lines = ['static struct klp_patch patch = {', '\t.mod = THIS_MODULE,', '\t.objs = livepatch_objects,'];
  if (kernel.replace) lines.push(`\t.replace = ${glue.replace},`);
  if (glue.states.length > 0) lines.push('\t.states = livepatch_states,');
  return [...lines, '};'].join('\n');
}

function entryPoints(kernel: LivepatchInterface): string {
  const enable = kernel.replace
    ? '\treturn klp_enable_patch(&patch);'
    : [
        '\tint error = klp_register_patch(&patch);',
        '',
        '\tif (error)',
        '\t\treturn error;',
        '\terror = klp_enable_patch(&patch);',
        '\tif (error)',
        '\t\tklp_unregister_patch(&patch);',
        '\treturn error;',
      ].join('\n');
  const disable = kernel.replace ? '' : '\tklp_unregister_patch(&patch);\n';
  return [
    `static int __init livepatch_init(void)\n{\n${enable}\n}`,
    `static void __exit livepatch_exit(void)\n{\n${disable}}`,
    'module_init(livepatch_init);\nmodule_exit(livepatch_exit);',
  ].join('\n\n');
}

function footer(glue: Glue, kernel: LivepatchInterface): string {
  const namespaces = glue.namespaces.map(
    (name) => `MODULE_IMPORT_NS(${kernel.namespaceIsString ? quote(name) : name});`,
  );
  const fields = glue.modinfo.map(([key, value]) => `MODULE_INFO(${key}, ${quote(value)});`);
  return [
    'MODULE_LICENSE("GPL");',
    `MODULE_DESCRIPTION(${quote(glue.description)});`,
    'MODULE_INFO(livepatch, "Y");',
    ...namespaces,
    ...fields,
  ].join('\n');
}

/** A C string literal. */
function quote(text: string): string {
  const escaped = text.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n');
  return `"${escaped.replace(/[^\x20-\x7e]/g, (char) => [...Buffer.from(char)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join(''))}"`;
}
