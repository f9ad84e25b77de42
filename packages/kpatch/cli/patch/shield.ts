/** `kpatch shield FUNCTION`: a live patch that refuses calls of a function until the fix is there. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { checkWritable, writeAtomically } from '../../base/files.ts';
import type { Reporter } from '../../base/report.ts';
import type { SigningKey } from '../../module/make/sign.ts';
import { verdictText } from '../../prove/proof-text.ts';
import { usersText } from '../../shield/count.ts';
import { expiry, readShieldFile, type ShieldFile } from '../../shield/file.ts';
import { buildShield, type Shield, type ShieldRequest } from '../../shield/shield.ts';
import { action, type Outcome } from '../command.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from '../kernel/kernel-options.ts';
import { proveModule } from './prove-module.ts';

interface Options extends KernelSourceOptions {
  readonly kernel?: string;
  readonly return?: string;
  readonly when?: string;
  readonly log?: boolean;
  readonly expires?: string;
  readonly cve?: string;
  readonly file?: string;
  readonly name?: string;
  readonly output?: string;
  readonly patchOnly?: string;
  readonly count: string;
  readonly prove: boolean;
  readonly test?: string;
  readonly signKey?: string;
  readonly signCert?: string;
}

export function register(program: Command): void {
  const command = program
    .command('shield')
    .summary('refuse calls of a vulnerable function until the fix is there')
    .description(
      'Builds and proves a live patch of one function that returns an error at once, for every call or for those that meet a ' +
        'condition. It protects a machine between the disclosure of a vulnerability and its fix. Functions in which an early ' +
        'return would be unsafe are refused.',
    )
    .argument('[function]', 'the function, as the kernel source calls it (or --cve FILE)')
    .option('--return <value>', 'what refused calls return, such as -EPERM')
    .option('--when <condition>', 'C condition on the arguments; without it every call is refused')
    .option('--log', 'write refused calls to the kernel log, at a limited rate')
    .option('--expires <time>', 'let calls pass again after this time: 14d, 36h, 8w')
    .option('--cve <file>', 'take all of this from a shield file that a vendor published')
    .option('--file <path>', 'source file of the function, if several define one of that name')
    .option('-k, --kernel <release>', 'target kernel (default: the running one, or the newest available from apt)')
    .option('-n, --name <name>', 'name of the module (default: livepatch_shield_FUNCTION)')
    .option('-o, --output <file>', 'write the module to this file (default: NAME.ko in the current folder)')
    .option('--patch-only <file>', 'only write the generated source patch to this file')
    .option('--count <seconds>', 'count for so long who calls the function on this machine', '5')
    .option('--test <script>', 'test script for the proof: fails without the shield, passes with it')
    .option('--no-prove', 'do not prove the module')
    .option('--sign-key <file>', 'sign the module with this private key (PEM; passphrase in KBUILD_SIGN_PIN)')
    .option('--sign-cert <file>', 'certificate of that key (PEM or DER)')
    .option('--no-sandbox', 'run the compiler and its tools with all your rights (dangerous; recorded in the manifest)')
    .option('--json', 'print JSON');
  withKernelSource(command).action(
    action<Options, [string | undefined]>(async ({ report }, options, name) => {
      const published = options.cve === undefined ? undefined : readShieldFile(options.cve);
      for (const file of [options.output, options.patchOnly]) if (file !== undefined) checkWritable(file);
      const shield = await buildShield(requestOf(name, options, published), report);
      if (options.patchOnly !== undefined) writeAtomically(options.patchOnly, Buffer.from(shield.patch, 'latin1'));
      const output = options.output ?? join(process.cwd(), `${shield.name}.ko`);
      if (shield.built !== undefined) writeAtomically(output, shield.built.module);
      const verdict = await proven(shield, output, options, published, report);
      return outcome(shield, output, options.patchOnly, verdict, published);
    }),
  );
}

function requestOf(name: string | undefined, options: Options, published: ShieldFile | undefined): ShieldRequest {
  if ((name === undefined) === (published === undefined))
    throw failure('usage', { problem: 'name a function, or give a shield file with --cve' });
  if (published !== undefined && (options.return ?? options.when ?? options.file) !== undefined)
    throw failure('usage', { problem: '--return, --when and --file come from the shield file' });
  const returns = published?.returns ?? options.return;
  if (returns === undefined) throw failure('usage', { problem: 'say with --return what refused calls return' });
  const when = published?.when ?? options.when;
  const file = published?.file ?? options.file;
  const expires = options.expires ?? published?.expires;
  return {
    function: published?.function ?? name!,
    returns,
    ...(when === undefined ? {} : { when }),
    ...(file === undefined ? {} : { file }),
    ...(expires === undefined ? {} : { until: expiry(expires, new Date()) }),
    log: options.log === true || published?.log === true,
    cves: published?.cves ?? [],
    kernelSource: kernelSource(options),
    ...(options.kernel === undefined ? {} : { release: options.kernel }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...signing(options),
    countSeconds: seconds(options.count),
    patchOnly: options.patchOnly !== undefined,
  };
}

function signing({ signKey, signCert }: Options): { sign?: SigningKey } {
  if (signKey === undefined && signCert === undefined) return {};
  if (signKey === undefined) throw failure('sign-incomplete', { given: '--sign-cert' });
  if (signCert === undefined) throw failure('sign-incomplete', { given: '--sign-key' });
  return { sign: { key: signKey, certificate: signCert } };
}

function seconds(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number <= 3600) return number;
  throw failure('usage', { problem: `--count needs a number of seconds up to 3600, not '${value}'` });
}

async function proven(
  { built }: Shield,
  module: string,
  options: Options,
  published: ShieldFile | undefined,
  report: Reporter,
): Promise<string | undefined> {
  if (built === undefined || !options.prove) return undefined;
  const test = options.test ?? published?.testFile;
  const { proof, file } = await report.stage('prove', () =>
    proveModule(module, { source: kernelSource(options), report, ...(test === undefined ? {} : { test }) }),
  );
  report.note(`proof written to ${file}`);
  if (proof.verdict !== 'proven') for (const reason of proof.reasons) report.warn(reason);
  return proof.verdict;
}

function outcome(
  shield: Shield,
  output: string,
  patch: string | undefined,
  verdict: string | undefined,
  published: ShieldFile | undefined,
): Outcome {
  const { built, note, callers, users, release } = shield;
  const functions = (built?.functions ?? [])
    .filter(({ kind }) => kind === 'changed')
    .map(({ name, object, sympos }) => ({ name, object, sympos }));
  const which = note.when === undefined ? 'every call' : `calls with ${note.when}`;
  const end = note.until === undefined ? 'until it is unloaded or replaced' : `until ${note.until}`;
  const lines = [
    `${note.function} (${shield.place}): ${which} will return ${note.returns} ${end}`,
    ...(published === undefined
      ? []
      : [`${published.cves.join(', ')}: ${published.title}`, `impact: ${published.impact}`]),
    `arguments: ${shield.parameters.join(', ') || 'none'}`,
    `called by: ${calledBy(shield)}`,
    `values that callers take as a refusal: ${shield.understood.join(', ')}`,
    usersText(users),
    ...functions
      .filter(({ name }) => name !== note.function)
      .map(({ name, object }) => `also replaced: ${name} (${object}), which contains its code`),
    ...(verdict === undefined ? [] : [`proof: ${verdictText(verdict)}`]),
    built === undefined
      ? `${patch}: source patch for ${release}`
      : `${output}: shield for ${release}, ${built.module.length} bytes`,
  ];
  return {
    exit: verdict === undefined || verdict === 'proven' ? 0 : 1,
    schema: 'kpatch.shielded/1',
    data: {
      module: built === undefined ? '' : output,
      ...(patch === undefined ? {} : { patch }),
      name: shield.name,
      release,
      ...(built === undefined ? {} : { sha256: built.sha256 }),
      shield: note,
      cves: [...(published?.cves ?? [])],
      place: shield.place,
      parameters: [...shield.parameters],
      functions,
      callers: [...callers.callers],
      references: [...callers.references],
      understood: [...shield.understood],
      users: { ...users, ...(users.by === undefined ? {} : { by: [...users.by] }) },
      ...(verdict === undefined ? {} : { verdict }),
      notes: [...(built?.notes ?? [])],
    },
    text: lines.join('\n'),
  };
}

function calledBy({ callers }: Shield): string {
  const direct = callers.callers.map((one) => one.function);
  const through = callers.references.map((one) => one.through);
  return [...new Set([...direct, ...through])].slice(0, 8).join(', ') || 'programs (a system call)';
}
