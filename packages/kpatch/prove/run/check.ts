/** A check: one claim about a livepatch module that a running kernel shows to be true or false. See `checks/`. */

import type { ReplacedFunction } from '../../module/tables.ts';
import type { KernelFacts } from '../../prepare/facts.ts';
import type { GuestFiles } from '../../vm/files/initramfs.ts';
import type { Guest, ScriptOptions, ScriptResult } from '../../vm/guest.ts';
import type { Subject } from '../input/subject.ts';
import type { TestScript } from '../input/test-script.ts';
import type { Evidence } from './event.ts';
import type { CallCount, Transition } from './guest/observations.ts';

/** The kernel of the proof. */
export interface ProofKernel {
  readonly release: string;
  readonly image: string;
  /** `lib/modules/RELEASE`; needed if the patch changes modules. */
  readonly modules: string | undefined;
  readonly buildId: string | undefined;
  /** Symbols and code of a prepared kernel, for checks that need no guest. */
  readonly facts?: KernelFacts;
}

/** State that the checks of one boot pass on to later checks, all from the guest. */
export interface BootState {
  /** `tracing/enabled_functions` before any patch was loaded. */
  enabledBefore?: string;
  /** Functions that livepatch lists after the load. */
  redirected?: readonly ReplacedFunction[];
  /** Status of the test script in each phase. */
  readonly testStatus: { [phase: string]: number };
  /** Kernel complaints before any patch was loaded. */
  complaintsBefore?: readonly string[];
  /** Lines of the kernel log before any module of this proof was loaded. */
  logLines?: number;
  stockLogRead?: boolean;
  /** Target modules that are not in the guest at all, not even as a stand-in. */
  absent?: Set<string>;
  /** True if the patch was loaded at boot, so that no step of this boot shows the stock kernel. */
  patchedAtBoot?: boolean;
  transition?: Transition;
  /** Calls of the new functions while the test ran. */
  calls?: readonly CallCount[];
}

/** The context of a check. */
export interface Session {
  readonly subject: Subject;
  readonly predecessors: readonly Subject[];
  readonly kernel: ProofKernel;
  readonly test: TestScript | undefined;
  /** kpatch as files for a guest; undefined if not available. */
  readonly program: GuestFiles | undefined;
  readonly guest: Guest;
  readonly state: BootState;
  /** Target modules that the stock kernel cannot load in a guest, with the reason; of all boots together. */
  readonly exceptions: Map<string, string>;
  /** What the stock kernel complains about, normalised (`normalMessage`); of all boots together. */
  readonly stockComplaints: Set<string>;
  /** Runs a shell script in the guest; see `Guest.run`. */
  sh(script: string, options?: ScriptOptions): Promise<ScriptResult>;
  /** Passes the store of installed patches, a tar archive, to the boot that starts with it. */
  keepStore(archive: Uint8Array): void;
  /** Reports progress. */
  progress(text: string): void;
}

/** A check that only reads files, before any guest starts. */
export type StaticSession = Omit<Session, 'guest' | 'state' | 'sh' | 'keepStore' | 'exceptions' | 'stockComplaints'>;

interface CheckBase {
  /** A short name, unique: `transition`. */
  readonly id: string;
  /** The claim, as a sentence that is true when it holds: `the transition completes`. */
  readonly title: string;
  /** If true, later checks are skipped when this one fails. */
  readonly needed?: boolean;
}

export interface GuestCheck extends CheckBase {
  readonly where: 'guest';
  /** Yields evidence; throws `ClaimFailed` if the claim is false. */
  run(session: Session): AsyncGenerator<Evidence, void>;
  /** False if the check does not apply to this proof (no test script, no previous patch). */
  applies?(session: StaticSession): boolean;
}

export interface StaticCheck extends CheckBase {
  readonly where: 'files';
  run(session: StaticSession): AsyncGenerator<Evidence, void>;
  applies?(session: StaticSession): boolean;
}

export type Check = GuestCheck | StaticCheck;

/** A boot of the kernel with its checks, in order. */
export interface PlannedBoot {
  readonly id: string;
  readonly title: string;
  readonly kernelArguments: readonly string[];
  readonly memoryMiB: number;
  readonly cpus: number;
  /** True if the check needs a real boot instead of a resumed guest. */
  readonly cold?: boolean;
  /**
   * For guests that contain kpatch: `install` saves its store; `reboot` starts with that store and loads the installed
   * patches before anything else runs.
   */
  readonly system?: 'install' | 'reboot';
  readonly checks: readonly GuestCheck[];
}

export interface Plan {
  readonly name: string;
  readonly statics: readonly StaticCheck[];
  readonly boots: readonly PlannedBoot[];
}
