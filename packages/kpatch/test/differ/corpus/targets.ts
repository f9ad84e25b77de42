/** Compilers of the corpus with the flags of a kernel build, and what the kernel's headers give on each architecture. */
import { oldClang, otherGcc } from '../../compilers.ts';
import { aarch64, loongarch64, ppc64le, s390x, x86 } from './headers.ts';

export interface Target {
  readonly name: string;
  readonly arch: 'x86-64' | 'ppc64le' | 's390x' | 'aarch64' | 'loongarch64';
  readonly compiler: string;
  readonly clang: boolean;
  readonly flags: readonly string[];
  /** C before each case. */
  readonly headers: string;
  /** Program that links objects into one (`ld -r`). */
  readonly linker: string;
}

const common = [
  '-O2',
  '-w',
  '-std=gnu11',
  '-pipe',
  '-ffreestanding',
  '-fno-strict-aliasing',
  '-fno-common',
  '-fno-PIE',
  '-fno-stack-protector',
  '-fno-asynchronous-unwind-tables',
  '-fno-jump-tables',
  '-ffunction-sections',
  '-fdata-sections',
];

const onX86 = ['-mcmodel=kernel', '-mno-sse', '-mno-red-zone', '-pg', '-mfentry'];
const onPower = [
  '-mcmodel=medium',
  '-mabi=elfv2',
  '-mcpu=power8',
  '-msoft-float',
  '-mtraceback=no',
  '-pg',
  '-mprofile-kernel',
];
const onZ = [
  '-march=z13',
  '-mpacked-stack',
  '-mbackchain',
  '-msoft-float',
  '-pg',
  '-mfentry',
  '-mrecord-mcount',
  '-mnop-mcount',
];
const expolines = ['-mindirect-branch=thunk', '-mfunction-return=thunk', '-mindirect-branch-table'];
const onLoong = [
  '--target=loongarch64-linux-gnu',
  '-mabi=lp64s',
  '-msoft-float',
  '-fno-unwind-tables',
  '-fpatchable-function-entry=2',
];
const onArm = ['-mgeneral-regs-only', '-mabi=lp64', '-fno-unwind-tables'];

function target(
  name: string,
  arch: Target['arch'],
  compiler: string,
  flags: readonly string[],
  headers: string,
  linker = 'ld',
): Target {
  return { name, arch, compiler, clang: compiler.startsWith('clang'), flags: [...common, ...flags], headers, linker };
}

export const targets: readonly Target[] = [
  target('x86-64 gcc-12', 'x86-64', 'gcc-12', [...onX86, '-mrecord-mcount', '-fcf-protection=none'], x86),
  target(
    'x86-64 gcc-12 with IBT and padding',
    'x86-64',
    'gcc-12',
    [...onX86, '-mrecord-mcount', '-fcf-protection=branch', '-fpatchable-function-entry=16,16'],
    x86,
  ),
  target(`x86-64 ${otherGcc}`, 'x86-64', otherGcc, [...onX86, '-mrecord-mcount', '-fcf-protection=none'], x86),
  target(`x86-64 ${oldClang}`, 'x86-64', oldClang, ['--target=x86_64-linux-gnu', ...onX86], x86),
  target(
    'ppc64le gcc-12',
    'ppc64le',
    'powerpc64le-linux-gnu-gcc-12',
    [...onPower, '-fno-optimize-sibling-calls'],
    ppc64le,
    'powerpc64le-linux-gnu-ld',
  ),
  target(
    'ppc64le gcc-12 with everything in the TOC',
    'ppc64le',
    'powerpc64le-linux-gnu-gcc-12',
    [...onPower.slice(1), '-mcmodel=large', '-fno-optimize-sibling-calls'],
    ppc64le,
    'powerpc64le-linux-gnu-ld',
  ),
  target('s390x gcc-12', 's390x', 's390x-linux-gnu-gcc-12', [...onZ, ...expolines], s390x, 's390x-linux-gnu-ld'),
  target(
    'aarch64 gcc-12 with BTI',
    'aarch64',
    'aarch64-linux-gnu-gcc-12',
    [...onArm, '-mbranch-protection=pac-ret+bti', '-fpatchable-function-entry=2'],
    aarch64,
    'aarch64-linux-gnu-ld',
  ),
  target(
    'aarch64 gcc-12 with padding',
    'aarch64',
    'aarch64-linux-gnu-gcc-12',
    [...onArm, '-mbranch-protection=none', '-fpatchable-function-entry=4,2'],
    aarch64,
    'aarch64-linux-gnu-ld',
  ),
  target(
    `aarch64 ${oldClang}`,
    'aarch64',
    oldClang,
    ['--target=aarch64-linux-gnu', '-mgeneral-regs-only', '-fno-unwind-tables', '-fpatchable-function-entry=2'],
    aarch64,
    'aarch64-linux-gnu-ld',
  ),
  target('loongarch64 clang-19', 'loongarch64', 'clang-19', onLoong, loongarch64, 'ld.lld-19'),
  target(
    'x86-64 clang-19 with kCFI',
    'x86-64',
    'clang-19',
    [
      '--target=x86_64-linux-gnu',
      ...onX86,
      '-fcf-protection=branch',
      '-fsanitize=kcfi',
      '-fpatchable-function-entry=11,11',
    ],
    x86,
  ),
  target(
    's390x clang-19',
    's390x',
    'clang-19',
    [
      '--target=s390x-linux-gnu',
      '-march=z13',
      '-mbackchain',
      '-msoft-float',
      '-pg',
      '-mfentry',
      '-mrecord-mcount',
      '-mnop-mcount',
    ],
    s390x,
    's390x-linux-gnu-ld',
  ),
  target(
    'aarch64 clang-19 with BTI and kCFI',
    'aarch64',
    'clang-19',
    [
      '--target=aarch64-linux-gnu',
      '-mgeneral-regs-only',
      '-fno-unwind-tables',
      '-mbranch-protection=pac-ret+bti',
      '-fsanitize=kcfi',
      '-fpatchable-function-entry=4,2',
    ],
    aarch64,
    'aarch64-linux-gnu-ld',
  ),
];
