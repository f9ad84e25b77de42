/** `kpatch reproduce MODULE`: builds a module again from its recorded inputs and compares the bytes. */
import type { Command } from 'commander';
import { reproduce } from '../../builder/reproduce.ts';
import { provenancePath } from '../../module/proof-path.ts';
import { readPublicKey } from '../../module/public-key.ts';
import { action, type Outcome } from '../command.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from './kernel-options.ts';
import { outOfTree, type PartOptions, partsOf, withParts } from './kernel-parts.ts';

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
      const { given, rebuilt, difference, signed, inputs } = await reproduce(request, report);
      const who = signed
        ? 'The provenance is signed by a given key.'
        : 'The provenance was not verified: no --key was given.';
      const where = difference?.offset === null || difference === undefined ? '' : ` at byte ${difference.offset}`;
      const text =
        difference === undefined
          ? `Identical: ${module} was rebuilt byte for byte (${rebuilt}).\n${who}`
          : `DIFFERENT: the rebuilt module is another one.\n  first difference: section ${difference.section}${where}: ${difference.problem}\n${who}`;
      return {
        exit: difference === undefined ? 0 : 1,
        schema: 'kpatch.reproduce/1',
        data: {
          module,
          identical: difference === undefined,
          sha256: { given, rebuilt },
          difference: difference ?? null,
          signed,
          inputs,
        },
        text,
      };
    }),
  );
}
