/** `kpatch verify`: are installed, recorded and active patches consistent; with files, what is known about their origin. */
import type { Command } from 'commander';
import { readBytes } from '../../base/files.ts';
import { withLock } from '../../host/machine/host-lock.ts';
import { type KernelOpinion, kernelOpinion } from '../../host/machine/kernel-trust.ts';
import { rebuildIndex, recover, releasesIn } from '../../host/store/store.ts';
import { verify } from '../../host/verify.ts';
import { readPublicKey } from '../../module/public-key.ts';
import { readCertificate } from '../../module/signature.ts';
import { type VerifiedModule, verifyModule } from '../../provenance/chain.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type HostOptions, LOCK_WAIT_MS, machineOf, withHostOptions } from './host-options.ts';

interface Options extends HostOptions {
  readonly repair?: boolean;
  readonly key: readonly string[];
  readonly cert: readonly string[];
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export function register(program: Command): void {
  const command = program
    .command('verify')
    .description(
      'Without a file: check that installed modules are unchanged and match the active patches. ' +
        'With files: check the signatures, provenance and proof of modules, and say what they show.',
    )
    .argument('[module...]', 'module files (.ko)')
    .option('--key <file>', 'public key (PEM) for provenance and proofs (repeatable)', collect, [])
    .option('--cert <file>', 'certificate for module signatures, PEM or DER (repeatable)', collect, [])
    .option('--repair', 'rebuild a damaged index from the installed modules, and finish interrupted changes');
  withHostOptions(command).action(action(run));
}

async function run({ report }: Context, options: Options, files: string[]): Promise<Outcome> {
  if (files.length > 0) return await verifyFiles(files, options);
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

/** Exit status 0 only if every link of every module is verified. */
async function verifyFiles(files: readonly string[], { key, cert, ...options }: Options): Promise<Outcome> {
  const machine = machineOf(options);
  const trust = { keys: key.map(readPublicKey), certificates: cert.map(readCertificate) };
  const modules: (VerifiedModule & { readonly kernel: KernelOpinion })[] = [];
  for (const file of files) {
    const verified = await verifyModule(file, trust);
    modules.push({ ...verified, kernel: kernelOpinion(machine, readBytes(file), trust.certificates) });
  }
  const text = modules.map(({ file, verdict, links, shows, doesNotShow, kernel }) => [
    `${file}: ${verdict}`,
    ...links.map(({ link, state, text }) => `  ${link}: ${state}: ${text}`),
    `  this kernel: ${kernel.answer}: ${kernel.reason}`,
    shows.length === 0 ? 'This shows nothing about where the module comes from.' : 'This shows:',
    ...shows.map((claim) => `  - ${claim}`),
    'This does not show:',
    ...doesNotShow.map((claim) => `  - ${claim}`),
  ]);
  return {
    exit: modules.every(({ verdict }) => verdict === 'verified') ? 0 : 1,
    schema: 'kpatch.verify-module/1',
    data: { modules },
    text: text.flat().join('\n'),
  };
}
