/** `kpatch-fleet rollout …`: create, start, watch and stop rollouts. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { failure, jsonText, print } from 'kpatch/parts';
import { commandLine } from '../access/audit.ts';
import { freeze, planned, rollBack, type Step, stepRollout, unfreeze } from '../rollout/commands.ts';
import { time } from '../rollout/reason.ts';
import { readRollouts, type StoredRollout } from '../rollout/store.ts';
import type { Database } from '../store/database.ts';

type WithDatabase = <T>(work: (database: Database) => Promise<T>) => Promise<T>;

export function addRolloutCommands(program: Command, withDatabase: WithDatabase): void {
  const rollout = program.command('rollout').description('live patches in rings, halted by evidence');
  rollout
    .command('create')
    .description('plan a rollout; nothing moves before it is started')
    .requiredOption('--kernel <release>', 'the kernel that the patch is for')
    .requiredOption('--release <digest>', 'SHA-256 of the live patch, as the channel lists it', digest)
    .option('--previous <digest>', 'the patch that a rollback returns to (default: none)', digest, '')
    .option('--title <text>', 'what it is for', '')
    .option('--plan <file>', 'rings, windows and soak times (default: rings that grow tenfold, 24 hours each)')
    .action(async (options: CreateOptions) => {
      print(`${await withDatabase((database) => create(database, options))}\n`);
    });
  rollout
    .command('list')
    .description('list the rollouts')
    .action(async () => {
      for (const one of await withDatabase((database) => readRollouts(database)))
        print(`${[one.id, one.state, one.kernel, one.release.slice(0, 12), one.title].join('\t')}\n`);
    });
  rollout
    .command('show <ID>')
    .description('what a rollout does, and why it proceeds or waits')
    .option('--json', 'print JSON')
    .action(async (id: string, { json }: { json?: true }) => {
      const [one] = await withDatabase((database) => readRollouts(database, /^\d{1,9}$/.test(id) ? id : '0'));
      if (one === undefined) throw failure('fleet-no-rollout', { rollout: id });
      print(json === true ? jsonText(one) : describe(one));
    });
  const steps: Readonly<Record<Step, string>> = {
    start: 'start a rollout that was created, or that nobody has started yet',
    pause: 'let no further host move; the test goes on',
    resume: 'go on after a pause',
    halt: 'end a rollout; hosts keep what they have',
  };
  for (const [step, description] of Object.entries(steps))
    rollout
      .command(`${step} <ID>`)
      .description(description)
      .option('--reason <text>', 'shown on its page and to its hosts', '')
      .action(async (id: string, { reason }: { reason: string }) => {
        await withDatabase((database) => stepRollout(database, commandLine, id, step as Step, reason));
      });
  rollout
    .command('roll-back <ID>')
    .description('return hosts to the patch before; halts the rollout')
    .option('--ring <name...>', 'only these rings', [])
    .option('--reason <text>', 'shown on its page and to its hosts', '')
    .action(async (id: string, { ring, reason }: { ring: string[]; reason: string }) => {
      await withDatabase((database) => rollBack(database, commandLine, id, ring, reason));
    });
  rollout
    .command('freeze')
    .description('stop all rollouts of the fleet; halts and rollbacks go on')
    .requiredOption('--reason <text>', 'shown to everybody who asks why')
    .option('--hours <number>', 'how long (default: until unfreeze)', Number)
    .action(async ({ reason, hours }: { reason: string; hours?: number }) => {
      const to = hours === undefined ? undefined : Date.now() + hours * 3_600_000;
      await withDatabase((database) => freeze(database, commandLine, reason, to));
    });
  rollout
    .command('unfreeze')
    .description('lift every freeze')
    .action(async () => {
      await withDatabase((database) => unfreeze(database, commandLine));
    });
}

interface CreateOptions {
  readonly kernel: string;
  readonly release: string;
  readonly previous: string;
  readonly title: string;
  readonly plan?: string;
}

async function create(database: Database, { plan: file, ...options }: CreateOptions): Promise<string> {
  const plan = file === undefined ? undefined : readPlan(file);
  return await planned(database, commandLine, { ...options, plan }, file);
}

function readPlan(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw failure('fleet-rollout', { action: `use the plan ${file}`, problem: 'it cannot be read' }, { cause });
  }
}

function digest(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new InvalidArgumentError('It must be a SHA-256 in hexadecimal.');
  return text;
}

function describe({ id, title, state, reason, kernel, release, rings, look }: StoredRollout): string {
  const head = [
    `Rollout ${id}: ${title}`,
    `State: ${state}${reason === '' ? '' : `. ${reason}`}`,
    `Kernel: ${kernel}`,
    `Patch: ${release}`,
  ];
  const lines = rings.map(({ name, state: ringState }, at) => {
    const facts = look?.facts.rings[at];
    return `  ${name}: ${ringState}${facts === undefined ? '' : `, ${facts.patched} of ${facts.hosts} hosts patched`}`;
  });
  const why =
    look === undefined || state === 'halted'
      ? []
      : [`Seen at ${time(look.at)}:`, ...look.because.map(({ text }) => `  ${text}`)];
  return `${[...head, 'Rings:', ...lines, ...why].join('\n')}\n`;
}
