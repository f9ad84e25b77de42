/**
 * Maps each compilation unit of a kernel to its object (vmlinux or a module). make provides the answer: one make process
 * reads the Makefile of every directory with the configuration of the kernel, as kbuild does, and prints what it would
 * build there. Directories, `obj-y`, `obj-m` and composite objects follow Documentation/kbuild/makefiles.rst.
 */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { writeAtomically } from '../base/files.ts';
import { keptDocument } from '../documents/kept.ts';
import { type KbuildVariables, submake } from './kbuild.ts';

/** An object that a unit is linked into. */
export interface Owner {
  /** `vmlinux`, or the name of the module in the kernel (with underscores). */
  readonly object: string;
  /** The directory whose Makefile builds it, relative to the tree. */
  readonly directory: string;
  /** Path of the module in the tree without `.ko`; undefined for vmlinux. */
  readonly path?: string;
}

/** Compilation units by the path of their object file, such as `fs/proc/meminfo.o`. */
export type ObjectMap = ReadonlyMap<string, readonly Owner[]>;

/**
 * Reads a directory, prints a line `D how directory`, then a line `y object parts...` or `m object parts...` for each
 * object; then forgets every variable that its Makefile set, since kbuild gives each directory a fresh make.
 * The compiler's questions (cc-option and its like) only matter for flags, so they are not asked.
 */
const walker = `
include include/config/auto.conf
include scripts/Kbuild.include
cc-option = $(1)
cc-option-yn = y
cc-disable-warning =
as-instr = $(2)
ld-option =
.DEFAULT_GOAL := all
.PHONY: FORCE
FORCE:
all: ;

parts = $(strip $($(1:.o=-objs)) $($(1:.o=-y)) $(if $(2),$($(1:.o=-m))))
directory-of = $(patsubst y:%,%,$(patsubst m:%,%,$(patsubst s:%,%,$(1))))
define visit
$(eval obj := $(1))$(eval src := $(1))
$(eval kbuild-file := $(firstword $(wildcard $(1)/Kbuild $(1)/Makefile)))
$(foreach v,obj-y obj-m lib-y lib-m subdir-y subdir-m,$(eval $(v) :=))
$(if $(kbuild-file),$(eval include $(kbuild-file)))
$(info D $(2) $(1))
$(foreach o,$(sort $(filter-out %/,$(obj-y) $(lib-y))),$(info y $(o) $(call parts,$(o),)))
$(foreach o,$(sort $(filter-out %/ $(obj-y),$(obj-m) $(lib-m))),$(info m $(o) $(call parts,$(o),m)))
$(eval queue += $(patsubst %/,y:$(1)/%,$(filter %/,$(obj-y))) $(patsubst %/,m:$(1)/%,$(filter %/,$(obj-m))) $(patsubst %,s:$(1)/%,$(subdir-y) $(subdir-m)))
$(foreach v,$(filter-out $(known),$(.VARIABLES)),$(eval undefine $(v)))
endef
step = $(eval next := $(firstword $(queue)))$(eval queue := $(wordlist 2,1000000,$(queue)))$(call visit,$(call directory-of,$(next)),$(firstword $(subst :, ,$(next))))
loop = $(if $(queue),$(step)$(eval $$(call loop)))
queue := $(TOP)
next :=
known :=
known := $(.VARIABLES) obj src kbuild-file
$(call loop)
`;

/** Directories that contain only programs and documentation of the build itself. */
const notKernel = /^(scripts|tools|Documentation|samples|usr)(\/|$)/;

/**
 * Walks the Makefiles of the prepared tree; about three seconds for a distribution's kernel.
 * Error: `makefiles-unreadable` if make cannot read them.
 */
export async function readObjectMap(tree: string, variables: KbuildVariables): Promise<ObjectMap> {
  const roots = (variables.KPATCH_ROOTS ?? '').split(/\s+/).filter((word) => word.endsWith('/'));
  const top = ['y:.', ...roots.map((root) => `y:${root.slice(0, -1)}`)].join(' ');
  const result = await submake(tree, variables, ['-s', '-f', '-', `TOP=${top}`, 'all'], {
    // The links of an overlay lead to the tree that it is of.
    view: { readOnly: [tree, ...treeOf(tree)] },
    input: walker,
    timeoutMs: 300_000,
  });
  if (result.status !== 0) throw failure('makefiles-unreadable', { tree }, { detail: result.stderr });
  return parseWalk(result.stdout.toString());
}

function treeOf(overlay: string): string[] {
  const scripts = join(overlay, 'scripts');
  return existsSync(scripts) ? [dirname(realpathSync(scripts))] : [];
}

/** Like `readObjectMap`, kept in `folder` between calls. */
export async function objectMap(tree: string, variables: KbuildVariables, folder: string): Promise<ObjectMap> {
  const file = join(folder, 'object-map.json');
  const known = keptDocument('kpatch.object-map', file);
  if (known !== undefined) return new Map(known);
  const map = await readObjectMap(tree, variables);
  writeAtomically(file, JSON.stringify([...map]));
  return map;
}

/** Reads the walker's lines; exported for its test. */
export function parseWalk(text: string): ObjectMap {
  const map = new Map<string, Owner[]>();
  let directory = '';
  let linked = true;
  const add = (unit: string, owner: Owner): void => {
    const key = normalize(join(owner.directory, unit));
    const owners = map.get(key) ?? [];
    if (!owners.some((other) => other.object === owner.object && other.path === owner.path)) owners.push(owner);
    map.set(key, owners);
  };
  for (const line of text.split('\n')) {
    const [kind, name, ...parts] = line.trim().split(/\s+/);
    if (kind === 'D') {
      directory = normalize(parts[0] ?? '.');
      linked = name === 'y' && !notKernel.test(directory);
    } else if ((kind === 'y' || kind === 'm') && name?.endsWith('.o')) {
      if (kind === 'y' && !linked) continue;
      const path = normalize(join(directory, name)).slice(0, -2);
      const owner: Owner =
        kind === 'y' ? { object: 'vmlinux', directory } : { object: moduleName(path), directory, path };
      const units = parts.filter((part) => part.endsWith('.o'));
      for (const unit of units.length === 0 ? [name] : units) add(unit, owner);
    }
  }
  return map;
}

/** The name in the kernel of the module at this path (Documentation/kbuild: KBUILD_MODNAME). */
export function moduleName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/-/g, '_');
}
