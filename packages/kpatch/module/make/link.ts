/**
 * Links the glue and the differences into one module against the distribution's headers: kbuild gives it vermagic, symbol
 * CRCs and `struct module`. Everything happens in a temporary folder.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../../base/errors/error.ts';
import { cleanEnvironment } from '../../kbuild/kbuild.ts';
import { readOutput } from '../../sandbox/output.ts';
import { sandboxed } from '../../sandbox/sandbox.ts';
import { shareFolder } from '../../sandbox/user.ts';

export interface LinkInput {
  /** An empty folder to work in. */
  readonly folder: string;
  /** The distribution's headers (`make -C headers`). */
  readonly headers: string;
  /** All folders that make reads for this kernel (kernel/folders.ts). */
  readonly folders: readonly string[];
  /** What make is told of the compiler and its tools. */
  readonly compiler: readonly string[];
  /** The build root that they are in. */
  readonly buildRoot: string | undefined;
  readonly name: string;
  /** The C source of the glue. */
  readonly glue: string;
  /** The objects to link in, as the differ made them and `prepareForLink` named their symbols. */
  readonly objects: readonly Uint8Array[];
  /**
   * More settings for make. Kernels with IBT run objtool once, on the linked module; the parts went through it already, and
   * twice is an error, so they are told to run it on the glue alone.
   */
  readonly settings: readonly string[];
}

/** Flags for every file of the module that keep the place of the build out of it (its build-id counts debug sections). */
const reproducible = (folder: string): string => `-g0 -ffile-prefix-map=${folder}=. -fmacro-prefix-map=${folder}/=`;

/** Returns the bytes of the unsigned module. Error: `module-link-failed` with kbuild's message. */
export async function linkModule(input: LinkInput): Promise<Uint8Array> {
  const { folder, name, objects } = input;
  writeFileSync(join(folder, 'glue.c'), input.glue);
  const parts = objects.map((bytes, index) => {
    writeFileSync(join(folder, `part-${index}.bin`), bytes);
    // kbuild wants a note of how an object was made (modpost reads it for MODVERSIONS sources).
    writeFileSync(join(folder, `.part-${index}.o.cmd`), `savedcmd_part-${index}.o := shipped\n`);
    return `part-${index}.o`;
  });
  // Linux 7 no longer has kbuild's own rule for files named NAME_shipped.
  const copies = parts.map((part) => `$(obj)/${part}: $(obj)/${part.replace(/o$/, 'bin')}\n\tcp $< $@`);
  const kbuild = [`obj-m := ${name}.o`, `${name}-y := glue.o ${parts.join(' ')}`, ...copies];
  writeFileSync(join(folder, 'Kbuild'), `${kbuild.join('\n')}\n`);
  // No BTF: it needs pahole, and debug information that the parts do not have. `struct module` follows the headers' own
  // configuration all the same, this only tells make.
  const settings = [...input.settings, 'CONFIG_DEBUG_INFO_BTF_MODULES='];
  const args = [
    '-C',
    input.headers,
    `M=${folder}`,
    ...input.compiler,
    `KCFLAGS=${reproducible(folder)}`,
    ...settings,
    'modules',
  ];
  shareFolder(folder);
  const result = await sandboxed('make', args, {
    view: { readOnly: input.folders, writable: [folder], buildRoot: input.buildRoot },
    env: { ...cleanEnvironment(), TMPDIR: folder },
    timeoutMs: 300_000,
  });
  if (result.status !== 0) {
    const said = `${result.stdout}${result.stderr}`;
    throw fail('module-link-failed', { name }, { detail: said.split('\n').slice(-30).join('\n') });
  }
  return readOutput(folder, `${name}.ko`);
}
