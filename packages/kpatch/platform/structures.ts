/**
 * The tables of a machine as one kernel has them: by the target's own structures, and by its version where it has none to
 * show.
 */
import { failure } from '../base/errors/error.ts';
import type { SpecialSection } from './common/special.ts';
import type { KernelRules, StructureLayout } from './kernel-rules.ts';
import type { Architecture } from './platform.ts';

/** Structures that rules depend on beside those of special sections. */
const livepatch = ['klp_func', 'klp_object', 'klp_patch', 'klp_state'];

/** Every structure of the machine's kernels that rules depend on, by name. */
export function structuresOf(arch: Architecture, kernel: KernelRules): string[] {
  const tables = arch.specialSections(kernel).flatMap((table) => [table, ...(table.others ?? [])]);
  const named = tables.flatMap(({ struct }) => (struct === undefined ? [] : [struct]));
  return [...new Set([...livepatch, ...named])].sort();
}

/**
 * The special sections of the kernel, the likely form of each first. Error: `kernel-structure-unknown` if the target has an
 * entry of a form that cannot be handled safely.
 */
export function tablesOf(arch: Architecture, kernel: KernelRules): readonly SpecialSection[] {
  const { target } = kernel;
  const tables = arch.specialSections(kernel);
  if (target === undefined) return tables;
  return tables.map((table) => {
    const layout = table.struct === undefined ? undefined : target.structures[table.struct];
    return layout === undefined ? table : formOf(table, layout);
  });
}

/** The form that the target's structure has. */
function formOf(table: SpecialSection, layout: StructureLayout): SpecialSection {
  const forms = [table, ...(table.others ?? [])];
  const found = forms.find((form) => isLayout(form, layout));
  if (found !== undefined) return { ...found, others: forms.filter((form) => form !== found) };
  const { name, struct = '' } = table;
  // Without the places of replacements and keys, code would be included in part or a key would be missed.
  if (table.replacement !== undefined || table.key !== undefined) {
    throw failure('kernel-structure-unknown', { structure: struct, size: layout.size, section: name });
  }
  const { line, fields, least, others, ...plain } = table;
  void [line, fields, least, others];
  return { ...plain, size: layout.size };
}

/** Members that decide what an entry means, by the names that the kernel's machines give them. */
const meanings = {
  line: ['line'],
  key: ['key'],
  replacement: ['repl_offset', 'alt_offset', 'replace_offset'],
  length: ['replacementlen', 'alt_len', 'replace_len'],
} as const;

/**
 * True if the structure has the form's size, a member at every place that the form names, and each meaning in its place.
 */
function isLayout(form: SpecialSection, { size, members }: StructureLayout): boolean {
  const offsets = new Set(Object.values(members));
  const { fields = [], line, replacement, key, location } = form;
  const places = [location, ...fields.map(({ at }) => at), line?.offset, key?.field];
  const all = [...places, replacement?.field, replacement?.length, replacement?.end];
  if (form.size !== size || !all.every((at) => at === undefined || offsets.has(at))) return false;
  const meant = { line: line?.offset, key: key?.field, replacement: replacement?.field, length: replacement?.length };
  return Object.entries(meanings).every(([meaning, names]) => {
    const at = meant[meaning as keyof typeof meanings];
    return at === undefined || names.every((name) => members[name] === undefined || members[name] === at);
  });
}
