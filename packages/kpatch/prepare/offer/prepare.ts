/**
 * Making a source tree in which single files compile exactly as the vendor compiled them. Nothing is decided by
 * configuring: configuration and generated headers are the vendor's files, taken from the headers package. A tool that is
 * missing here (pahole, rustc) would otherwise change options, and with them the layout of structures. What the headers
 * package does not have (host programs, objtool, headers of the build tools) kbuild makes.
 */

import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { saysDiskFull } from '../../base/files.ts';
import { readConfig } from '../../kernel/config.ts';
import type { KernelCompiler } from '../../kernel/target.ts';
import type { Naming } from '../../platform/naming.ts';
import { requireNoEscape } from '../../sandbox/output.ts';
import { sandboxed } from '../../sandbox/sandbox.ts';
import { giveTree } from '../../sandbox/user.ts';
import { compilerArguments } from '../../toolchain/compiler.ts';

/** Files of the headers package that kbuild would write again with this machine's name in them. */
const vendorTexts = ['include/generated/compile.h', 'include/generated/package.h', 'include/generated/utsversion.h'];

export interface PrepareOptions {
  readonly release: string;
  readonly headers: string;
  readonly tree: string;
  /** The names of the kernel's machine. */
  readonly naming: Naming;
  readonly compiler: KernelCompiler;
  /** A lock file that is held as long as make and all that it starts run, see cache.ts. */
  readonly writers: string;
  readonly update: (text: string) => void;
}

/**
 * Turns the unpacked source in `tree` into a prepared one. Errors: `kernel-prepare-failed`, `kernel-config-drift`,
 * `sandbox-output`.
 */
export async function prepareTree(options: PrepareOptions): Promise<void> {
  const { release, headers, tree } = options;
  takeVendorFiles(options);
  nameRelease(tree, release);
  settleTimes(tree);
  giveTree(tree);
  await makePrepare(options);
  requireNoEscape(tree);
  for (const name of vendorTexts) copyIfThere(join(headers, name), join(tree, name));
  checkConfiguration(headers, tree, release);
}

/** Arguments of make that hold for every call in this tree. */
export function makeArguments(compiler: KernelCompiler): string[] {
  return [...compilerArguments(compiler), 'KBUILD_BUILD_USER=kpatch', 'KBUILD_BUILD_HOST=kpatch'];
}

function takeVendorFiles({ headers, tree, naming }: PrepareOptions): void {
  const generated = `arch/${naming.source}/include/generated`;
  for (const name of [
    '.config',
    'Module.symvers',
    '.kernelvariables',
    'include/config',
    'include/generated',
    generated,
  ]) {
    copyIfThere(join(headers, name), join(tree, name));
  }
}

function copyIfThere(from: string, to: string): void {
  if (!existsSync(from)) return;
  mkdirSync(dirname(to), { recursive: true });
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true, dereference: true, preserveTimestamps: true });
}

/**
 * Distributions set the release from outside, so the source alone would call itself `6.1.192`. The last definition of a
 * recursive make variable counts: appended lines leave the vendor's lines, and their numbers, as they are.
 */
function nameRelease(tree: string, release: string): void {
  const lines = `\n# kpatch: the release that the vendor built\nfilechk_kernel.release = echo "${release}"\n`;
  appendFileSync(join(tree, 'Makefile'), lines);
  mkdirSync(join(tree, 'include/config'), { recursive: true });
  writeFileSync(join(tree, 'include/config/kernel.release'), `${release}\n`);
}

/**
 * kbuild runs `syncconfig`, which decides options again, when .config is newer than auto.conf or auto.conf.cmd is missing
 * (top Makefile, include/config/auto.conf): all get one time, and auto.conf.cmd names no prerequisite.
 */
function settleTimes(tree: string): void {
  const now = new Date();
  writeFileSync(join(tree, 'include/config/auto.conf.cmd'), "# kpatch: the configuration is the vendor's and fixed\n");
  for (const name of [
    '.config',
    'include/config/auto.conf.cmd',
    'include/config/auto.conf',
    'include/generated/autoconf.h',
    'include/generated/rustc_cfg',
    'include/config/tristate.conf',
  ]) {
    if (existsSync(join(tree, name))) utimesSync(join(tree, name), now, now);
  }
}

async function makePrepare({ tree, release, naming, compiler, writers, update }: PrepareOptions): Promise<void> {
  // resolve_btfids works on whole modules and takes longer to build than everything else together; no object needs it.
  // Without --no-print-directory the top Makefile calls itself once more, and -o is not handed down.
  const spared = ['--no-print-directory', '-o', 'tools/bpf/resolve_btfids'];
  // Programs in Rust are of no use to a live patch, and would need the vendor's Rust compiler.
  const config = readConfig(join(tree, '.config'));
  const other = ['RUST', ...(naming.secondCompiler ?? [])].filter((option) => config.has(option));
  const off = other.map((option) => `CONFIG_${option}=`);
  const args = [`-j${availableParallelism()}`, ...spared, ...off, ...makeArguments(compiler), 'modules_prepare'];
  const { status, stdout, stderr } = await sandboxed('make', args, {
    view: { writable: [tree], buildRoot: compiler.root },
    around: ['flock', '-o', '-s', writers],
    cwd: tree,
    env: { LC_ALL: 'C' },
    onLine: (line) => update(line.trim().slice(0, 60)),
  });
  if (status === 0) return;
  const said = `${stderr}\n${stdout.subarray(-2000).toString()}`;
  if (saysDiskFull(said)) throw failure('disk-full', { file: tree });
  throw failure('kernel-prepare-failed', { release }, { detail: said.trim().split('\n').slice(-30).join('\n') });
}

/** Option by option the tree must have what the vendor had, in every form that kbuild and the compiler read. */
function checkConfiguration(headers: string, tree: string, release: string): void {
  for (const name of ['.config', 'include/config/auto.conf']) {
    if (!existsSync(join(headers, name))) continue;
    const difference = readConfig(join(headers, name)).firstDifference(readConfig(join(tree, name)));
    if (difference === undefined) continue;
    const { option, here: wanted, there: found } = difference;
    throw failure('kernel-config-drift', { release, option, found, wanted }, { where: { file: join(tree, name) } });
  }
  const header = 'include/generated/autoconf.h';
  if (
    existsSync(join(headers, header)) &&
    !readFileSync(join(headers, header)).equals(readFileSync(join(tree, header)))
  ) {
    throw failure('kernel-config-drift', { release, option: header, found: 'another', wanted: "the vendor's" });
  }
}
