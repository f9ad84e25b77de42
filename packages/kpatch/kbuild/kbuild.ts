/**
 * Runs kbuild for a part of a prepared kernel tree without the top Makefile. The top Makefile passes everything to
 * sub-makes in exported variables. They are read once; then the rules of each directory (`scripts/Makefile.build`) run
 * directly. That takes a fifth of the time of `make path/file.o` with the same commands.
 */

import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../base/digest.ts';
import { temporaryFolder, writeAtomically } from '../base/files.ts';
import type { RunResult } from '../base/run.ts';
import { keptDocument } from '../documents/kept.ts';
import { type KernelConfig, readConfig } from '../kernel/config.ts';
import type { KernelCompiler } from '../kernel/target.ts';
import { platformOfConfig } from '../platform/registry.ts';
import type { ProcessLimits } from '../sandbox/limits.ts';
import { type SandboxOptions, sandboxed, sandboxedOk } from '../sandbox/sandbox.ts';
import { shareFolder } from '../sandbox/user.ts';
import { compilerArguments } from '../toolchain/compiler.ts';

/** Kept beside the variables: the build root that they hold for. It never reaches make. */
const buildRootVariable = 'KPATCH_BUILD_ROOT';

/** The variables that the top Makefile exports to sub-makes. */
export type KbuildVariables = Readonly<Record<string, string>>;

/**
 * What a program that compiles a few units may use. The largest objects of a kernel have some 20 MiB (readOutput takes no file above
 * this limit). A patch can make the compiler run away, for instance with macros that double each other.
 */
const COMPILE_LIMITS: ProcessLimits = { fileBytes: 1 << 30, addressBytes: 8 * 2 ** 30, cpuSeconds: 600 };

/** Compiler flags with which __TIMESTAMP__, the time of the source file, is a constant too. */
export const timelessFlags = '-Wno-builtin-macro-redefined -D__TIMESTAMP__=__DATE__';

/** Compiler flags that give each function and each object its own section, which the differ needs. */
const sectionFlags = '-ffunction-sections -fdata-sections';

/** The compiler flags of the versions of a unit that the differ compares: `sectionFlags`, and those of the kernel's machine. */
export function differFlags(config: KernelConfig): string {
  const platform = platformOfConfig((option) => config.has(option));
  return [sectionFlags, ...(platform?.moduleFlags ?? [])].join(' ');
}

/** The variables as they are without `differFlags`, so that units are compiled as the vendor compiled them. */
export function withoutDifferFlags(variables: KbuildVariables): KbuildVariables {
  const flags = variables.KCFLAGS ?? sectionFlags;
  const without = (text: string): string => text.replaceAll(flags, '');
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, without(value)]));
}

/** Variables of the user's environment that reach kbuild; all others would make the output depend on the user. */
const kept = ['PATH'];

/** Exported by the top Makefile but valid only where it ran. */
const places = /^(_|HOME|TMPDIR|MAKEFILES|PWD|OLDPWD|SHLVL|MAKEFLAGS|MFLAGS|MAKELEVEL|MAKE_TERM\w*|abs_\w+)$/;

const fixed = {
  LC_ALL: 'C',
  KBUILD_BUILD_TIMESTAMP: 'Thu Jan  1 00:00:00 UTC 1970',
  KBUILD_BUILD_USER: 'kpatch',
  KBUILD_BUILD_HOST: 'kpatch',
  KBUILD_BUILD_VERSION: '1',
  // __DATE__ and __TIME__.
  SOURCE_DATE_EPOCH: '0',
} as const;

/** An environment for make in which nothing of the user's own settings changes the output, for `RunOptions.env`. */
export function cleanEnvironment(): Record<string, string | undefined> {
  const env: Record<string, string | undefined> = {};
  for (const name of Object.keys(process.env)) env[name] = kept.includes(name) ? process.env[name] : undefined;
  return { ...env, ...fixed };
}

/** A folder of links to the entries of the tree, so that make leaves temporary files there and not in the tree. */
function shadowOf(tree: string): ReturnType<typeof temporaryFolder> {
  const folder = temporaryFolder('kpatch-kbuild-');
  for (const name of readdirSync(tree)) symlinkSync(join(tree, name), join(folder.path, name));
  return folder;
}

/**
 * Asks the top Makefile of the prepared tree what it exports when built with this compiler.
 * Takes about two seconds, so `kbuildVariables` keeps the result. Error: `tool-failed`.
 */
export async function readKbuildVariables(tree: string, compiler: KernelCompiler): Promise<KbuildVariables> {
  using shadow = shadowOf(tree);
  const makefile = join(shadow.path, 'kpatch-variables.mk');
  const roots = ['core-y', 'drivers-y', 'libs-y', 'net-y', 'virt-y', 'libs-m', 'core-m', 'drivers-m', 'net-m'];
  // Some machines add flags for the stack protector when the tree is prepared, in the recipe of this target (arch/arm64/Makefile).
  const late = 'stack_protector_prepare';
  writeFileSync(
    makefile,
    `${late}:\nkpatch-variables: ${late}\n\t@KPATCH_ROOTS='${roots.map((name) => `$(${name})`).join(' ')}' env -0\n`,
  );
  shareFolder(shadow.path);
  const { stdout } = await sandboxedOk(
    'make',
    // Without --no-print-directory the top Makefile calls itself once more, and -o is not handed down.
    [
      ...['-s', '--no-print-directory', '-o', 'prepare0'],
      ...compilerArguments(compiler),
      `KCFLAGS=${differFlags(readConfig(join(tree, '.config')))}`,
      'kpatch-variables',
    ],
    // MAKEFILES also reaches the second make that some versions of the top Makefile start.
    {
      view: { readOnly: [tree], writable: [shadow.path], buildRoot: compiler.root },
      cwd: shadow.path,
      env: { ...cleanEnvironment(), MAKEFILES: makefile },
      timeoutMs: 120_000,
    },
  );
  const variables: Record<string, string> = {};
  for (const entry of stdout.toString().split('\0')) {
    const at = entry.indexOf('=');
    if (at > 0 && !places.test(entry.slice(0, at))) variables[entry.slice(0, at)] = entry.slice(at + 1);
  }
  return {
    ...variables,
    CC: compiler.command,
    ...(compiler.root === undefined ? {} : { [buildRootVariable]: compiler.root }),
  };
}

/** Like `readKbuildVariables`, kept in `folder` between calls. */
export async function kbuildVariables(
  tree: string,
  compiler: KernelCompiler,
  folder: string,
): Promise<KbuildVariables> {
  // What was kept of kernels with such flags before `readKbuildVariables` asked for them is not complete.
  const complete = readConfig(join(tree, '.config')).has('STACKPROTECTOR_PER_TASK') ? '-2' : '';
  const usual = join(folder, `kbuild-variables${complete}.json`);
  const known = keptDocument('kpatch.kbuild-variables', usual);
  const isOurs = (one: KbuildVariables): boolean =>
    one.CC === compiler.command && one[buildRootVariable] === compiler.root;
  if (known !== undefined && isOurs(known)) return known;
  // Another compiler, or another build root, has a file of its own.
  const own = sha256(`${compiler.command}\n${compiler.root ?? ''}`).slice(0, 16);
  const file = known === undefined ? usual : join(folder, `kbuild-variables${complete}-${own}.json`);
  const kept = known === undefined ? undefined : keptDocument('kpatch.kbuild-variables', file);
  if (kept !== undefined && isOurs(kept)) return kept;
  const variables = await readKbuildVariables(tree, compiler);
  mkdirSync(folder, { recursive: true });
  writeAtomically(file, JSON.stringify(variables));
  return variables;
}

/** What the variables export to programs, and the build root in which the programs lie. */
export function separated(variables: KbuildVariables): { buildRoot: string | undefined; exported: KbuildVariables } {
  const { [buildRootVariable]: buildRoot, ...exported } = variables;
  return { buildRoot, exported };
}

/**
 * Runs make in the (overlay of the) tree `cwd` as kbuild's top Makefile would run a sub-make, in a sandbox that sees
 * `options.view` and the toolchain.
 */
export function submake(
  cwd: string,
  variables: KbuildVariables,
  args: readonly string[],
  options: Omit<SandboxOptions, 'cwd'>,
): Promise<RunResult> {
  const { buildRoot, exported } = separated(variables);
  const env = {
    ...cleanEnvironment(),
    ...exported,
    TMPDIR: undefined,
    KBUILD_BUILTIN: '1',
    KBUILD_MODULES: '1',
    abs_srctree: cwd,
    abs_objtree: cwd,
    MAKEFLAGS: 'rR --no-print-directory',
  };
  const view = { ...options.view, buildRoot };
  return sandboxed('make', args, {
    timeoutMs: 1_800_000,
    limits: COMPILE_LIMITS,
    ...options,
    view,
    cwd,
    env: { ...env, ...options.env },
  });
}
