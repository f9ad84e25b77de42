/** A check: one claim about a patch module, shown true or false in a running kernel. One file each, in `checks/`. */
import type { KernelFacts } from '../../prepare/facts.ts';
import type { Guest, ScriptOptions, ScriptResult } from '../../vm/guest.ts';
import type { GuestFiles } from '../../vm/initramfs.ts';
import type { PatchedFunction, Subject } from '../input/subject.ts';
import type { TestScript } from '../input/test-script.ts';
import type { Evidence } from './event.ts';
import type { CallCount, Transition } from './observations.ts';

/** The kernel that a proof is made on. */
export interface ProofKernel {
  readonly release: string;
  readonly image: string;
  /** `lib/modules/RELEASE`; needed where the patch changes modules. */
  readonly modules: string | undefined;
  readonly buildId: string | undefined;
  /** Symbols and code, where the kernel is prepared: more can be checked without a guest. */
  readonly facts?: KernelFacts;
}

/** What the checks of one boot leave for those that follow; all from the guest. */
export interface BootState {
  /** `tracing/enabled_functions` before anything was loaded. */
  enabledBefore?: string;
  /** Functions that livepatch lists after the load. */
  redirected?: readonly PatchedFunction[];
  /** Status of the test script in each phase. */
  readonly testStatus: { [phase: string]: number };
  /** Complaints of the kernel before anything was loaded. */
  complaintsBefore?: readonly string[];
  transition?: Transition;
  /** Calls of the new functions while the test ran. */
  calls?: readonly CallCount[];
}

/** What a check works with. */
export interface Session {
  readonly subject: Subject;
  readonly predecessors: readonly Subject[];
  readonly kernel: ProofKernel;
  readonly test: TestScript | undefined;
  /** This program as files of a guest; undefined where it is not at hand. */
  readonly program: GuestFiles | undefined;
  readonly guest: Guest;
  readonly state: BootState;
  /** Runs a shell script in the guest; see `Guest.run`. */
  sh(script: string, options?: ScriptOptions): Promise<ScriptResult>;
  /** Hands the store of installed patches, a tar archive, to the boot that begins with it. */
  keepStore(archive: Uint8Array): void;
  /** Tells those who watch what is going on. */
  progress(text: string): void;
}

/** A check that looks at files only, before any guest exists. */
export type StaticSession = Omit<Session, 'guest' | 'state' | 'sh' | 'keepStore'>;

interface CheckBase {
  /** A short name, unique: `transition`. */
  readonly id: string;
  /** The claim, as a sentence that is true when it holds: `the transition completes`. */
  readonly title: string;
  /** True where the claims that follow say nothing once this one is false. */
  readonly needed?: boolean;
}

export interface GuestCheck extends CheckBase {
  readonly where: 'guest';
  /** Yields what it sees; throws `ClaimFailed` when the claim is false. */
  run(session: Session): AsyncGenerator<Evidence, void>;
  /** False where there is nothing to check in this proof (no test script, no predecessor). */
  applies?(session: StaticSession): boolean;
}

export interface StaticCheck extends CheckBase {
  readonly where: 'files';
  run(session: StaticSession): AsyncGenerator<Evidence, void>;
  applies?(session: StaticSession): boolean;
}

export type Check = GuestCheck | StaticCheck;

/** A boot of the kernel with the checks that are made in it, in order. */
export interface PlannedBoot {
  readonly id: string;
  readonly title: string;
  readonly kernelArguments: readonly string[];
  readonly memoryMiB: number;
  readonly cpus: number;
  /** True where booting is part of what is looked at: no kept guest is resumed. */
  readonly cold?: boolean;
  /**
   * Where the guest has this program: `install` keeps its store, `reboot` begins with that store and loads what is installed
   * before anything else runs.
   */
  readonly system?: 'install' | 'reboot';
  readonly checks: readonly GuestCheck[];
}

export interface Plan {
  readonly name: string;
  readonly statics: readonly StaticCheck[];
  readonly boots: readonly PlannedBoot[];
}
