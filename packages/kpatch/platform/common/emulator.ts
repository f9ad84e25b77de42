/** The virtual machine of QEMU that boots this machine's kernels, and what the kernel must be told there. */
export interface Emulator {
  /** QEMU's program, and the Debian package that has it. */
  readonly program: string;
  readonly package: string;
  /** More arguments: the machine model, where the default is not the one. */
  readonly arguments: readonly string[];
  /** `-accel` and `-cpu`: emulated, or on this machine's own processors. */
  readonly tcg: { readonly accel: string; readonly cpu: string };
  readonly kvm: { readonly accel: string; readonly cpu: string };
  /**
   * Arguments that connect the character device of this name; called for the console first, then for the agent's channel.
   */
  serial(device: string): readonly string[];
  /** The device that the kernel prints on (`console=`), and the agent's file in the guest. */
  readonly console: string;
  readonly agentPort: string;
  /**
   * Bytes up to which the agent's port is faster than loading the driver of a disk (default: 96 KiB). Ports on PCI take a change
   * between QEMU and the guest for each few bytes.
   */
  readonly serialBytes?: number;
  /** More of the kernel's command line. */
  readonly commandLine: readonly string[];
  /** What a guest needs to be saved and resumed; absent if that was not tried, and guests are booted each time. */
  readonly keep?: {
    /** The device whose number changes with each resume, so that the kernel reseeds its random numbers (CONFIG_VMGENID). */
    readonly generationId: readonly string[];
    /** A static program that has the kernel reseed; its standard input is /dev/urandom. */
    reseedProgram(): Uint8Array;
  };
}

/**
 * How guests are emulated and how they run on this machine's own processors. Emulated processors take turns in one thread; the
 * reason is in docs/architecture.md and x86_64/emulator.ts. Under KVM only the host's own model is sure to run.
 */
export function accelerators(cpu = 'max'): Pick<Emulator, 'tcg' | 'kvm'> {
  return { tcg: { accel: 'tcg,thread=single', cpu }, kvm: { accel: 'kvm', cpu: 'host' } };
}

/** QEMU's `virt` machine has one serial port, which is the console; the agent's is on PCI. */
export const virtMachine: Pick<Emulator, 'arguments' | 'serial' | 'commandLine'> = {
  arguments: ['-machine', 'virt'],
  serial: (device) =>
    device === 'console' ? ['-serial', `chardev:${device}`] : ['-device', `pci-serial,chardev=${device}`],
  commandLine: [],
};
