/** `kpatch reproduce MODULE`: builds a module again from its recorded inputs and compares the bytes. */
import type { Command } from 'commander';
import { type Reproduction, reproduce } from '../../builder/rebuild/reproduce.ts';
import { provenancePath } from '../../module/proof-path.ts';
import { readPublicKey } from '../../module/public-key.ts';
import { action, type Outcome } from '../command.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from '../kernel/kernel-options.ts';
import { outOfTree, type PartOptions, partsOf, withParts } from '../kernel/kernel-parts.ts';

interface Options extends KernelSourceOptions, PartOptions {
  readonly provenance?: string;
  readonly key: readonly string[];
  readonly patch: readonly string[];
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export function register(program: Command): void {
  const command = program
    .command('reproduce')
    .summary('rebuild a module from its recorded inputs and compare the bytes')
    .description(
      'Builds a module again from the inputs that its provenance records and compares it with the file, without the appended signature.',
    )
    .argument('<module>', 'the livepatch module (.ko)')
    .option('--provenance <file>', 'its provenance (default: MODULE.provenance.json next to the module)')
    .option('--key <file>', 'public key (PEM): one of these must have signed the provenance (repeatable)', collect, [])
    .option('--patch <file>', 'a source patch that the provenance does not contain (repeatable)', collect, []);
  withParts(command)
    .option('--no-sandbox', 'run the compiler and its tools with all your rights (dangerous)')
    .option('--json', 'print JSON');
  withKernelSource(command).action(
    action<Options, [string]>(async ({ report }, options, module): Promise<Outcome> => {
      const request = {
        module,
        provenance: options.provenance ?? provenancePath(module),
        keys: options.key.map(readPublicKey),
        patches: options.patch,
        kernelSource: kernelSource(options),
        ...partsOf(options),
        ...outOfTree(options),
      };
      return reproduceOutcome(module, await reproduce(request, report));
    }),
  );
}

/** What is printed, and the exit status: 0 reproduced, 1 different, 4 not built with the recorded toolchain. */
export function reproduceOutcome(module: string, reproduction: Reproduction): Outcome {
  const { given, rebuilt, difference, signed, inputs, toolchain } = reproduction;
  const identical = difference === undefined;
  const verdict = toolchain.length > 0 ? 'other toolchain' : identical ? 'reproduced' : 'different';
  return {
    exit: verdict === 'other toolchain' ? 4 : identical ? 0 : 1,
    schema: 'kpatch.reproduce/1',
    data: {
      module,
      identical,
      verdict,
      sha256: { given, rebuilt },
      difference: difference ?? null,
      toolchain,
      signed,
      inputs,
    },
    text: [...linesOf(module, reproduction), signedLine(signed)].join('\n'),
  };
}

function linesOf(module: string, { rebuilt, difference, toolchain }: Reproduction): string[] {
  const where = difference?.offset === null || difference === undefined ? '' : ` at byte ${difference.offset}`;
  const first = difference && `  first difference: section ${difference.section}${where}: ${difference.problem}`;
  if (toolchain.length > 0) {
    return [
      'NOT reproduced with the recorded toolchain: these packages could not be had.',
      ...toolchain.map(
        ({ name, recorded, used }) => `  ${name}: recorded ${recorded ?? 'nothing'}, used ${used ?? 'nothing'}`,
      ),
      first === undefined
        ? 'A rebuild with the packages used has the same bytes. That does not show what the recorded ones give.'
        : 'A rebuild with the packages used has other bytes.',
      ...(first === undefined ? [] : [first]),
      'Give a mirror that still has them (--mirror URL --allow-expired), or put their files into the packages of the cache.',
    ];
  }
  if (first === undefined) return [`Identical: ${module} was rebuilt byte for byte (${rebuilt}).`];
  return ['DIFFERENT: the rebuilt module is another one.', first];
}

function signedLine(signed: boolean): string {
  return signed ? 'The provenance is signed by a given key.' : 'The provenance was not verified: no --key was given.';
}
