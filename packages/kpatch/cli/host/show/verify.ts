/** `kpatch verify`: are installed, recorded and active patches consistent; with files, what is known about their origin. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { readBytes } from '../../../base/files.ts';
import { readPolicyState } from '../../../host/acceptance/policy.ts';
import { withLock } from '../../../host/machine/host-lock.ts';
import { type KernelOpinion, kernelOpinion } from '../../../host/machine/kernel-trust.ts';
import type { Machine } from '../../../host/machine/machine.ts';
import { runningKernel } from '../../../host/machine/running-kernel.ts';
import { findInstalled, readInstalled, rebuildIndex, recover, releasesIn } from '../../../host/store/store.ts';
import { verify } from '../../../host/verify.ts';
import { readPublicKey } from '../../../module/public-key.ts';
import { readCertificate } from '../../../module/signature.ts';
import { type Trust, type VerifiedModule, verifyModule } from '../../../provenance/chain.ts';
import { action, type Context, type Outcome } from '../../command.ts';
import { type HostOptions, LOCK_WAIT_MS, machineOf, withHostOptions } from '../host-options.ts';

interface Options extends HostOptions {
  readonly repair?: boolean;
  readonly kernelVersion?: string;
  readonly key: readonly string[];
  readonly cert: readonly string[];
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export function register(program: Command): void {
  const command = program
    .command('verify')
    .description(
      'Without a file: check that installed modules are unchanged and match the active patches. ' +
        'With modules: check their signatures, provenance and proof, and say what these show.',
    )
    .argument('[module...]', 'module files (.ko), or names of installed patches')
    .option(
      '--key <file>',
      'public key (PEM) for provenance and proofs (repeatable; default: those of the host policy)',
      collect,
      [],
    )
    .option(
      '--cert <file>',
      'certificate for module signatures, PEM or DER (repeatable; default: those of the host policy)',
      collect,
      [],
    )
    .option('-k, --kernel-version <release>', 'kernel of the installed patches (default: the running one)')
    .option('--repair', 'rebuild a damaged index from the installed modules, and finish interrupted changes');
  withHostOptions(command).action(action(run));
}

async function run({ report }: Context, options: Options, modules: string[]): Promise<Outcome> {
  if (modules.length > 0) return verifyModules(modules, options);
  const machine = machineOf(options);
  if (options.repair) {
    await withLock(machine, report, LOCK_WAIT_MS, async () => {
      for (const release of releasesIn(machine)) {
        rebuildIndex(machine, release);
        recover(machine, release);
      }
    });
  }
  const mismatches = verify(machine);
  const text = mismatches.map(
    ({ patch, release, problem, fix }) => `${patch ?? 'store'} (${release}): ${problem}\n  do: ${fix}`,
  );
  return {
    exit: mismatches.length === 0 ? 0 : 1,
    schema: 'kpatch.verify/1',
    data: { mismatches },
    text: mismatches.length === 0 ? 'Consistent.' : text.join('\n'),
  };
}

/** Exit status 0 only if every module is verified. */
function verifyModules(modules: readonly string[], options: Options): Outcome {
  const machine = machineOf(options);
  const trust = trustOf(machine, options);
  const release = options.kernelVersion ?? runningKernel(machine).release;
  const verified = modules.map((named): VerifiedModule & { readonly kernel: KernelOpinion } => {
    const file = existsSync(named) ? named : installedFile(machine, release, named);
    return { ...verifyModule(file, trust), kernel: kernelOpinion(machine, readBytes(file), trust.certificates) };
  });
  const text = verified.map(({ file, verdict, links, shows, doesNotShow, kernel }) => [
    `${file}: ${verdict}`,
    ...links.map(({ link, state, text }) => `  ${link}: ${state}: ${text}`),
    `  this kernel: ${kernel.answer}: ${kernel.reason}`,
    shows.length === 0 ? 'This shows nothing about where the module comes from.' : 'This shows:',
    ...shows.map((claim) => `  - ${claim}`),
    'This does not show:',
    ...doesNotShow.map((claim) => `  - ${claim}`),
  ]);
  return {
    exit: verified.every(({ verdict }) => verdict === 'verified') ? 0 : 1,
    schema: 'kpatch.verify-module/1',
    data: { modules: verified },
    text: text.flat().join('\n'),
  };
}

/** The keys that are named, or else those of the host policy. */
function trustOf(machine: Machine, { key, cert }: Options): Trust {
  const state = readPolicyState(machine);
  const { proofKeys = [], builderKeys = [], certificates = [] } = state.kind === 'valid' ? state.policy : {};
  return {
    keys: key.length > 0 ? key.map(readPublicKey) : [...proofKeys, ...builderKeys],
    certificates: cert.length > 0 ? cert.map(readCertificate) : certificates.map(({ certificate }) => certificate),
  };
}

/** The file of an installed patch, compared with its record. Errors: `not-installed`, `store-damaged`, `store-unsafe`. */
function installedFile(machine: Machine, release: string, name: string): string {
  // A path that does not exist is not the name of a patch.
  if (name.includes('/')) readBytes(name);
  return readInstalled(findInstalled(machine, release, name)).path;
}
