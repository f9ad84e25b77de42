/** A kernel that the test configures and builds itself: as small as one that can be patched can be, still minutes of work. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { silentReporter } from '#kpatch/base/report.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { cacheRoot } from '#kpatch/base/workspace.ts';
import { machineArchive } from '#kpatch/distro/debian/archive.ts';
import { debianArchive } from '#kpatch/distro/debian/record.ts';
import { unpackDeb } from '#kpatch/distro/debian/unpack.ts';
import { packagesFolder } from '#kpatch/prepare/cache.ts';

/** What is set beside `make tinyconfig`; all else follows from it. */
const options = `
64BIT SMP EXPERT MULTIUSER FUTEX POSIX_TIMERS BINFMT_ELF BINFMT_SCRIPT BLK_DEV_INITRD RD_GZIP KERNEL_GZIP
PRINTK TTY SERIAL_8250 SERIAL_8250_CONSOLE PROC_FS PROC_SYSCTL SYSFS DEVTMPFS TMPFS DEBUG_KERNEL DEBUG_FS
MODULES MODULE_UNLOAD KALLSYMS KALLSYMS_ALL FTRACE FUNCTION_TRACER DYNAMIC_FTRACE UNWINDER_ORC STACKTRACE LIVEPATCH`;
const off = 'RD_BZIP2 RD_LZMA RD_XZ RD_LZO RD_LZ4 RD_ZSTD KERNEL_XZ VT HID INPUT_KEYBOARD INPUT_MOUSE UNWINDER_GUESS';

function fragment(name: string): string {
  const words = (text: string): string[] => text.trim().split(/\s+/);
  const set = words(options).map((option) => `CONFIG_${option}=y`);
  const unset = words(off).map((option) => `# CONFIG_${option} is not set`);
  return [`CONFIG_LOCALVERSION="-${name}"`, 'CONFIG_BINFMT_MISC=m', ...set, ...unset, ''].join('\n');
}

export interface SmallKernel {
  readonly source: string;
  /** Where it was built; the source itself or a folder beside it. */
  readonly built: string;
  readonly image: string;
  readonly vmlinux: string;
  /** Its `lib/modules/RELEASE`. */
  readonly modules: string;
  readonly release: string;
}

/**
 * Unpacks the source of the newest package linux-source-SERIES into `folder`; gives the path of the tree. `release` is the Debian release
 * from whose archive it comes; without it, this machine's apt has it.
 */
export async function kernelSource(folder: string, series = '6.1', release?: string): Promise<string> {
  const context = { report: silentReporter(), packages: packagesFolder(), cache: cacheRoot() };
  const archive = release === undefined ? machineArchive : await debianArchive(release, {}, context);
  const [stanza] = await archive.show(`linux-source-${series}`);
  assert.ok(stanza, `there is no linux-source-${series}`);
  const unpacked = join(folder, `package-${series}`);
  await unpackDeb(await archive.fetch(stanza, context), unpacked);
  await runOk('tar', ['xf', join(unpacked, `usr/src/linux-source-${series}.tar.xz`), '-C', folder]);
  return join(folder, `linux-source-${series}`);
}

/** Configures and builds a kernel in `built` with these variables for make (`CC=gcc-12`, `LLVM=-14`). */
export async function buildKernel(
  source: string,
  built: string,
  name: string,
  variables: readonly string[],
): Promise<SmallKernel> {
  mkdirSync(built, { recursive: true });
  const make = async (...targets: string[]): Promise<void> => {
    const place = built === source ? [] : [`O=${built}`];
    const args = ['-s', `-j${availableParallelism()}`, ...variables, ...place, ...targets];
    const { status, stderr } = await run('make', args, { cwd: source, timeoutMs: 3_600_000 });
    assert.equal(status, 0, stderr);
  };
  await make('tinyconfig');
  writeFileSync(join(built, 'fragment'), fragment(name));
  const merge = [join(source, 'scripts/kconfig/merge_config.sh'), '-m', '.config', 'fragment'];
  await runOk(merge[0]!, merge.slice(1), { cwd: built });
  await make('olddefconfig');
  await make('bzImage', 'modules');
  await make('modules_install', `INSTALL_MOD_PATH=${join(built, 'installed')}`);
  const [release] = readdirSync(join(built, 'installed/lib/modules'));
  const modules = join(built, 'installed/lib/modules', release!);
  const image = join(built, 'arch/x86/boot/bzImage');
  return { source, built, image, vmlinux: join(built, 'vmlinux'), modules, release: release! };
}
