/** The compiler that built a kernel, and the one that is here. */
import { failure } from '../base/errors/error.ts';
import { packageOf } from '../base/process/tools.ts';
import { run } from '../base/run.ts';
import type { KernelConfig } from '../kernel/config.ts';
import type { KernelCompiler, TargetKernel } from '../kernel/target.ts';
import type { Naming } from '../platform/naming.ts';
import { platformHere, platformOfConfig } from '../platform/registry.ts';
import { sandboxed } from '../sandbox/sandbox.ts';
import type { WantedCompiler } from './build-root.ts';

/**
 * The command and the version text that a configuration names in CONFIG_CC_VERSION_TEXT (`gcc-12 (Debian 12.2.0-14)
 * 12.2.0`, `Debian clang version 19.1.7`). Kernels before 4.18 do not have the option: `gcc` and an empty text. For another
 * machine than this one it is a cross compiler. Error: `platform-unknown`.
 */
export async function compilerOf(config: KernelConfig, root?: string): Promise<KernelCompiler> {
  const wanted = wantedCompiler(config);
  const { family, major, text: builtBy } = wanted;
  const cross = crossNames(config);
  const candidates = compilerNames(wanted, cross?.triple);
  const command = (await best(candidates, builtBy, root)) ?? candidates[0] ?? family;
  const foreign = cross === undefined ? [] : [`ARCH=${cross.kernel}`, `CROSS_COMPILE=${cross.triple}-`];
  const makeArguments = [...foreign, ...(await toolArguments(config, major, root))];
  return { command, builtBy, makeArguments, ...(root === undefined ? {} : { root }) };
}

/** Commands that can be the compiler of a kernel, the likeliest first. `triple` is that of another machine than this one. */
export function compilerNames({ family, major, text }: WantedCompiler, triple?: string): string[] {
  const first = text.split(' ')[0] ?? '';
  const prefixed = (name: string): string =>
    triple === undefined || family === 'clang' || name.startsWith(`${triple}-`) ? name : `${triple}-${name}`;
  const names = [/^(?:\S+-)?(?:gcc|clang)(?:-\d+)?$/.test(first) ? first : '', `${family}-${major}`, family];
  // Newer compilers of the RHEL family: packages gcc-toolset-N (since RHEL 8) and devtoolset-N, which are not in PATH.
  const toolsets = family === 'gcc' && major !== undefined && triple === undefined ? ['gcc-toolset', 'devtoolset'] : [];
  const paths = toolsets.map((name) => `/opt/rh/${name}-${major}/root/usr/bin/gcc`);
  return [...new Set([...names.filter(Boolean).map(prefixed), ...paths])];
}

/** The names of the machine that a configuration is for; undefined for this one. */
function crossNames(config: KernelConfig): Naming | undefined {
  const platform = platformOfConfig((option) => config.has(option));
  return platform === undefined || platform === platformHere() ? undefined : platform.naming;
}

/** The compiler that a configuration names. */
export function wantedCompiler(config: KernelConfig): WantedCompiler {
  const text = config.get('CC_VERSION_TEXT') ?? '';
  // `gcc-12 (Debian 12.2.0-14) 12.2.0`, `gcc-10 (Debian 10.2.1-6) 10.2.1 20210110`, `Debian clang version 19.1.7`
  const version = /\) (\d+)\.\d+\.\d+/.exec(text) ?? /version (\d+)\.\d/.exec(text) ?? /(\d+)\.\d+\.\d+\S*$/.exec(text);
  return { family: config.has('CC_IS_CLANG') ? 'clang' : 'gcc', major: version?.[1], text };
}

/**
 * The linker and the assembler by their names, where they are LLVM's. `LLVM=1` would ask for all of LLVM's tools, without
 * the version in their names; a kernel may also have been built by clang and linked by GNU ld.
 */
async function toolArguments(config: KernelConfig, major: string | undefined, root?: string): Promise<string[]> {
  const linkers = [`ld.lld-${major}`, 'ld.lld'];
  const linker = config.has('LD_IS_LLD') ? ((await firstInstalled(linkers, root)) ?? linkers[0]!) : undefined;
  // The default assembler for clang changed in Linux 5.15.
  const assembler = config.has('AS_IS_LLVM') ? ['LLVM_IAS=1'] : config.has('AS_IS_GNU') ? ['LLVM_IAS=0'] : [];
  return [...(linker === undefined ? [] : [`LD=${linker}`]), ...(config.has('CC_IS_CLANG') ? assembler : [])];
}

/** The first of these commands that is the compiler of that text, else the first that is installed. */
async function best(commands: readonly string[], builtBy: string, root?: string): Promise<string | undefined> {
  let installed: string | undefined;
  for (const command of commands) {
    const text = await versionText(command, root);
    if (text === undefined) continue;
    if (builtBy === '' || sameCompiler(text, builtBy)) return command;
    installed ??= command;
  }
  return installed;
}

async function firstInstalled(commands: readonly string[], root?: string): Promise<string | undefined> {
  for (const command of commands) if ((await versionText(command, root)) !== undefined) return command;
  return undefined;
}

/** What make must be told of the compiler and its tools, in every call for this kernel. */
export function compilerArguments({ command, makeArguments }: KernelCompiler): string[] {
  return [`CC=${command}`, ...makeArguments];
}

/** The first line of `COMMAND --version`; undefined if it is not installed. */
export async function versionText(command: string, root?: string): Promise<string | undefined> {
  const result = await (root === undefined
    ? run(command, ['--version'], { env: { LC_ALL: 'C' } })
    : sandboxed(command, ['--version'], { view: { buildRoot: root }, env: { LC_ALL: 'C' } })
  ).catch(() => undefined);
  return result?.status === 0 ? result.stdout.toString().split('\n')[0] : undefined;
}

/** True if two version texts name the same compiler; the command in front may differ (`gcc` and `gcc-12`). */
export function sameCompiler(one: string, other: string): boolean {
  const bare = (text: string): string => text.trim().replace(/^\S+ (?=\()/, '');
  return bare(one) === bare(other);
}

/**
 * Holds the local compiler against the one that built the kernel; gives the local one's version text.
 * Errors: `tool-missing`; `kernel-compiler` unless `accept` is true (then the caller should warn).
 */
export async function checkCompiler(
  kernel: TargetKernel,
  { accept = false } = {},
): Promise<{ found: string; same: boolean }> {
  const { command, builtBy, makeArguments, root } = kernel.compiler;
  const found = await versionText(command, root);
  if (found === undefined) throw failure('tool-missing', { tool: command, package: packageOf(command) });
  for (const argument of makeArguments) {
    const linker = /^LD=(.*)/.exec(argument)?.[1];
    if (linker !== undefined && (await versionText(linker, root)) === undefined)
      throw failure('tool-missing', { tool: linker, package: linker.replace('ld.', '') });
  }
  const same = builtBy === '' || sameCompiler(found, builtBy);
  if (!same && !accept) throw failure('kernel-compiler', { wanted: builtBy, found, command });
  return { found, same };
}
