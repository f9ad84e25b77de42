/** `kpatch-fleet rollout …`: create, start, watch and stop rollouts. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { failure, jsonText, print } from 'kpatch/parts';
import { commandLine } from '../access/audit.ts';
import { freeze, planned, rollBack, type Step, stepRollout, unfreeze } from '../rollout/commands.ts';
import { parsePlan } from '../rollout/plan-file.ts';
import { time } from '../rollout/reason.ts';
import { readRollouts, type StoredRollout } from '../rollout/store.ts';
import type { Reach } from './reach.ts';

export function addRolloutCommands(program: Command, reach: Reach): void {
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
      print(`${await create(reach, options)}\n`);
    });
  rollout
    .command('list')
    .description('list the rollouts')
    .action(async () => {
      const rollouts = await reach.at<readonly Pick<StoredRollout, 'id' | 'state' | 'kernel' | 'release' | 'title'>[]>(
        async (client) => (await client.call('GET /api/rollouts', {})).rollouts as unknown as StoredRollout[],
        (database) => readRollouts(database),
      );
      for (const one of rollouts)
        print(`${[one.id, one.state, one.kernel, one.release.slice(0, 12), one.title].join('\t')}\n`);
    });
  rollout
    .command('show <ID>')
    .description('what a rollout does, and why it proceeds or waits')
    .option('--json', 'print JSON')
    .action(async (id: string, { json }: { json?: true }) => {
      const [one] = await reach.at(
        async (client) => [
          (await client.call('GET /api/rollouts/:id', { params: { id } })) as unknown as StoredRollout,
        ],
        (database) => readRollouts(database, /^\d{1,9}$/.test(id) ? id : '0'),
      );
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
        await reach.at<unknown>(
          (client) =>
            client.call('POST /api/rollouts/:id/:step', { params: { id, step: step as Step }, body: { reason } }),
          (database) => stepRollout(database, commandLine, id, step as Step, reason),
        );
      });
  rollout
    .command('roll-back <ID>')
    .description('return hosts to the patch before; halts the rollout')
    .option('--ring <name...>', 'only these rings', [])
    .option('--reason <text>', 'shown on its page and to its hosts', '')
    .action(async (id: string, { ring, reason }: { ring: string[]; reason: string }) => {
      await reach.at<unknown>(
        (client) =>
          client.call('POST /api/rollouts/:id/:step', {
            params: { id, step: 'roll-back' },
            body: { reason, rings: ring },
          }),
        (database) => rollBack(database, commandLine, id, ring, reason),
      );
    });
  rollout
    .command('freeze')
    .description('stop all rollouts of the fleet or of a group; halts and rollbacks go on')
    .requiredOption('--reason <text>', 'shown to everybody who asks why')
    .option('--hours <number>', 'how long (default: until unfreeze)', Number)
    .option('--group <label>', 'only the hosts with this label')
    .action(async ({ reason, hours, group }: { reason: string; hours?: number; group?: string }) => {
      const now = Date.now();
      const to = hours === undefined ? undefined : now + hours * 3_600_000;
      await reach.at<unknown>(
        (client) => client.call('POST /api/freeze', { body: { reason, hours, group } }),
        (database) => freeze(database, commandLine, reason, to, now, group),
      );
    });
  rollout
    .command('unfreeze')
    .description('lift every freeze, or those of a group')
    .option('--group <label>', 'only those of this label')
    .action(async ({ group }: { group?: string }) => {
      await reach.at<unknown>(
        (client) => client.call('DELETE /api/freeze', { query: { group } }),
        (database) => unfreeze(database, commandLine, group),
      );
    });
}

interface CreateOptions {
  readonly kernel: string;
  readonly release: string;
  readonly previous: string;
  readonly title: string;
  readonly plan?: string;
}

async function create(reach: Reach, { plan: file, ...options }: CreateOptions): Promise<string> {
  const plan = file === undefined ? undefined : readPlan(file);
  // Report faults of the plan before anything is sent.
  if (plan !== undefined) parsePlan(plan, file!);
  return await reach.at(
    async (client) => {
      const body = { ...options, ...(plan === undefined ? {} : { plan: JSON.parse(plan) as Record<string, unknown> }) };
      return (await client.call('POST /api/rollouts', { body })).id;
    },
    (database) => planned(database, commandLine, { ...options, plan }, file),
  );
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
