/** What a machine is called: every world that kpatch talks to has its own name for the same machine. */
export interface Naming {
  /** `ARCH=` of the kernel's make. */
  readonly kernel: string;
  /** The folder below `arch/` of the kernel's source (SRCARCH). */
  readonly source: string;
  /** Like `uname -m`; TargetKernel, manifests and proofs use this name. */
  readonly uname: string;
  /** Like `dpkg --print-architecture`. */
  readonly deb: string;
  /** Like `rpm --eval '%{_arch}'`. */
  readonly rpm: string;
  /** GNU triple of Debian's cross compilers and of its folders for libraries and headers. */
  readonly triple: string;
  /** Options (without CONFIG_) that a kernel's configuration has where the kernel is for this machine, all of them. */
  readonly options: readonly string[];
  /** Options with which kbuild runs objtool on linked code instead of on each object. */
  readonly lateObjtool: readonly string[];
  /**
   * Options for which kbuild makes programs of user space with a compiler for another machine (the 32-bit vDSO) when a tree is
   * prepared. No live patch changes such code, so they are left out there.
   */
  readonly secondCompiler?: readonly string[];
  /** What the wrappers of system calls begin with, before `sys_NAME` (asm/syscall_wrapper.h); absent where there are none. */
  readonly systemCalls?: readonly string[];
  /** Functions between a system call's entry and its wrapper, and the first ones of a task: some task is always in them. */
  readonly onEveryStack?: readonly string[];
}
