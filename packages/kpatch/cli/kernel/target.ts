/** Which kernel a build is for: said before anything else happens, and never guessed. */
import { createInterface } from 'node:readline/promises';
import { failure } from '../../base/errors/error.ts';
import { printErrorLines } from '../../base/print.ts';
import type { Reporter } from '../../base/report.ts';
import { line, span } from '../../base/text/terminal.ts';
import { type KernelSource, type TargetChoice, targetChoice } from '../../prepare/choice.ts';

export interface TargetInput {
  /** As given on the command line. */
  readonly given?: string;
  /** The target is not a release of a distribution: a custom kernel, or that of an out-of-tree module. */
  readonly other?: string;
  readonly kernelSource: KernelSource;
  readonly report: Reporter;
  readonly json: boolean;
}

/**
 * The target release; undefined for `other`. Without a given one it is the running kernel; if that cannot be patched, a person
 * at a terminal chooses from a list. Error: `kernel-not-chosen` with the list, where nobody can be asked.
 */
export async function targetOf(input: TargetInput): Promise<string | undefined> {
  const { given, other, kernelSource, report, json } = input;
  const say = (release: string, why: string): string => {
    report.note(`target: ${release} (${why})`);
    return release;
  };
  if (other !== undefined) {
    report.note(`target: ${other}`);
    return undefined;
  }
  if (given !== undefined) return say(given, 'as given with --kernel');
  const choice = await targetChoice({ ...kernelSource, report });
  if (choice.problem === undefined) return say(choice.running, 'the running kernel');
  const terminal = process.stdin.isTTY === true && process.stderr.isTTY === true && !json;
  const chosen = terminal && choice.offers.length > 0 ? await ask(choice) : undefined;
  if (chosen !== undefined) return say(chosen, 'as chosen');
  throw notChosen(choice);
}

function notChosen({ problem = '', offers }: TargetChoice): Error {
  const detail =
    offers.length === 0
      ? 'No other kernel is prepared or offered by the package sources.'
      : ['Kernels that can be built for:', ...offers.map(({ release, what }) => `  ${release}  ${what}`)].join('\n');
  return failure('kernel-not-chosen', { problem }, { detail });
}

/** Undefined if the answer is not one of the list. */
async function ask({ problem, offers }: TargetChoice): Promise<string | undefined> {
  printErrorLines([
    line([span('warning', `${problem?.charAt(0).toUpperCase()}${problem?.slice(1)}.`)]),
    line(['Build for which kernel?']),
    ...offers.map(({ release, what }, i) => line([`  ${i + 1}  ${release}  `, span('quiet', what)], 5)),
  ]);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = (await terminal.question(`Number [1-${offers.length}]: `)).trim();
    return offers.find(({ release }, i) => answer === String(i + 1) || answer === release)?.release;
  } finally {
    terminal.close();
  }
}
