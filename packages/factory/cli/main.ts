/** The program `kpatch-factory`. */
import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { isCveId } from 'kpatch/advisories';
import { failure, jsonText, KpatchError, print, printError, renderError, version, writeAtomically } from 'kpatch/parts';
import { readConfig } from '../config.ts';
import { exportPages } from '../page/export.ts';
import { pageServer } from '../page/server.ts';
import { Queue } from '../queue/queue.ts';
import { outcomes, readReport } from '../report/outcomes.ts';
import { factoryOval } from '../report/oval.ts';
import { type Factory, type StepName, stepNames } from '../steps/factory.ts';
import { type Blobs, FolderBlobs } from '../store/blobs.ts';
import { type Database, openDatabase } from '../store/database.ts';
import { RemoteBlobs, readToken } from '../store/remote.ts';
import { type DecisionWord, State } from '../store/state.ts';
import { addressIn, type StoreOptions, serveStore, serveUntilStopped } from './serve.ts';
import { realTools } from './tools.ts';

interface Common {
  readonly home: string;
  readonly database?: string;
  readonly store?: string;
  readonly token?: string;
}

interface Opened extends AsyncDisposable {
  readonly factory: Factory;
  readonly database: Database;
}

async function open(options: Common): Promise<Opened> {
  const { home, database: url } = options;
  const blobs = blobsOf(options);
  const config = readConfig(home);
  const database = await openDatabase(home, url);
  const state = new State(database, blobs);
  const close = (): Promise<void> => database.close();
  return { factory: { config, state, tools: realTools(config) }, database, [Symbol.asyncDispose]: close };
}

function blobsOf({ home, database, store, token }: Common): Blobs {
  const own = new FolderBlobs(join(home, 'store'));
  if (store === undefined) return own;
  if (token === undefined) throw failure('usage', { problem: '--store needs --token FILE' });
  if (database === undefined)
    throw failure('usage', { problem: '--store needs --database: the embedded one is on one machine' });
  return new RemoteBlobs(store, readToken(token), own);
}

const program = new Command('kpatch-factory')
  .description('From a CVE to a proven, published live patch.')
  .version(`kpatch-factory ${version}`, '-V, --version')
  .option('-C, --home <folder>', 'folder of the factory, with factory.json', '.')
  .option('--database <url>', 'PostgreSQL server (default: an embedded database in the folder)')
  .option(
    '--store <url>',
    'results are at this coordinator, see `kpatch-factory store` (default: store/ in the folder)',
  )
  .option('--token <file>', 'the secret that the coordinator and its workers share')
  .exitOverride()
  .configureOutput({ writeErr: () => {} });

const common = (): Common => program.opts<Common>();

program
  .command('run')
  .description('read the feeds and carry out everything that follows, then end')
  .action(async () => {
    await using opened = await open(common());
    await work(opened, { once: true });
    const { factory } = opened;
    print(`${summary(await readReport(factory.config, factory.state))}\n`);
  });

program
  .command('worker')
  .description('work on the queue until it is stopped; several may run on one PostgreSQL server')
  .option('--every <minutes>', 'also read the feeds this often', minutes)
  .option('--steps <list>', `do only these steps: ${stepNames.join(', ')} (comma-separated; default: all)`, stepsIn)
  .action(async ({ every, steps }: { every?: number; steps?: readonly StepName[] }) => {
    await using opened = await open(common());
    await work(opened, { every, steps });
  });

program
  .command('store')
  .description('serve the store to workers on other machines, which share --token FILE (at least 32 characters)')
  .option('--listen <address>', 'address and port', '127.0.0.1:8471')
  .option('--certificate <file>', 'certificate (PEM), for TLS; needed if other machines reach the address')
  .option('--key <file>', 'its private key (PEM)')
  .action(async (options: Omit<StoreOptions, 'token'>) => {
    // Commander gives an option that the program has to the program, wherever it stands.
    const { home, token } = common();
    if (token === undefined) throw failure('usage', { problem: 'the store needs --token FILE' });
    await serveStore(home, { ...options, token });
  });

function stepsIn(text: string): readonly StepName[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !(stepNames as readonly string[]).includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`Unknown step ${unknown}.`);
  return names as StepName[];
}

interface WorkSettings {
  readonly once?: boolean;
  readonly every?: number | undefined;
  readonly steps?: readonly StepName[] | undefined;
}

async function work({ factory, database }: Opened, { once = false, every, steps }: WorkSettings): Promise<void> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  const queue = await Queue.open(database);
  const read = (): Promise<void> => queue.send({ step: 'ingest', kernel: '' });
  if (once || every !== undefined) await read();
  const timer = every === undefined ? undefined : setInterval(() => void read().catch(() => {}), every * 60_000);
  const onJob = ({ step, kernel }: { step: string; kernel: string }): void => {
    printError(`${new Date().toISOString().slice(11, 19)} ${step}${kernel === '' ? '' : ` ${kernel}`}\n`);
  };
  try {
    await queue.work(factory, { signal: stop.signal, once, onJob, ...(steps === undefined ? {} : { steps }) });
  } finally {
    clearInterval(timer);
    await queue.close();
    process.off('SIGINT', end).off('SIGTERM', end);
  }
}

function minutes(text: string): number {
  const value = Number(text);
  if (!(value >= 1 && value <= 10_080))
    throw new InvalidArgumentError('It must be a number of minutes from 1 to 10080.');
  return value;
}

program
  .command('status')
  .description('show what became of the CVEs of every kernel')
  .option('--json', 'print JSON')
  .action(async ({ json }: { json?: boolean }) => {
    await using opened = await open(common());
    const kernels = await readReport(opened.factory.config, opened.factory.state);
    print(`${json === true ? jsonText({ schema: 'kpatch.factory-report/1', kernels }, 2) : summary(kernels)}\n`);
  });

function summary(kernels: Awaited<ReturnType<typeof readReport>>): string {
  return kernels
    .map(({ release, cves, published, build }) => {
      const counts = outcomes.flatMap((outcome) => {
        const count = cves.filter((one) => one.outcome === outcome).length;
        return count === 0 ? [] : [`  ${String(count).padStart(6)} ${outcome}`];
      });
      const module = published === undefined ? 'nothing is published' : `version ${published.version} is published`;
      const waits =
        build?.module !== undefined && build.version !== published?.version ? `; version ${build.version} waits` : '';
      return [`${release}: ${module}${waits}`, ...counts].join('\n');
    })
    .join('\n');
}

program
  .command('events')
  .description('print what happened, one JSON object a line')
  .option('--after <id>', 'only events after this one', Number, 0)
  .action(async ({ after }: { after: number }) => {
    await using opened = await open(common());
    for (const event of await opened.factory.state.events(Number.isSafeInteger(after) ? after : 0))
      print(`${JSON.stringify(event)}\n`);
  });

const decisions: readonly (readonly [DecisionWord, string])[] = [
  ['accept', 'accept the hazards that the review found in a fix; SUBJECT is a CVE or a commit'],
  ['approve', 'let the module of a kernel out that waits; SUBJECT is its release'],
  ['hold', 'keep the fix of a CVE out of the next series'],
  ['release', 'take a hold or a withdrawal back'],
  ['withdraw', 'take the fix of a CVE out of the live patches'],
];

for (const [word, description] of decisions) {
  program
    .command(`${word} <SUBJECT>`)
    .description(description)
    .requiredOption('--reason <text>', 'why; the events and the channel show it')
    .action(async (subject: string, { reason }: { reason: string }) => {
      if (reason.trim() === '') throw failure('usage', { problem: 'a decision needs a reason' });
      await using opened = await open(common());
      await decide(opened, word, subject, reason);
    });
}

async function decide(
  { factory, database }: Opened,
  word: DecisionWord,
  subject: string,
  reason: string,
): Promise<void> {
  const { config, state } = factory;
  const releases = config.kernels.map(({ release }) => release);
  const isKernel = word === 'approve';
  const isCommit = word === 'accept' && /^[0-9a-f]{40}$/.test(subject);
  if (isKernel ? !releases.includes(subject) : !isCommit && !isCveId(subject))
    throw failure('usage', { problem: `${subject} is not ${isKernel ? 'a kernel of factory.json' : 'a CVE id'}` });
  const version = isKernel ? (await state.read('build', subject))?.version : undefined;
  const who = userInfo().username;
  await state.decide({ subject: version === undefined ? subject : `${subject} ${version}`, word, reason, who });
  await state.note(word, isKernel ? subject : '', { subject, reason, who });
  const queue = await Queue.open(database);
  for (const kernel of isKernel ? [subject] : releases)
    await queue.send({ step: isKernel ? 'publish' : 'series', kernel });
  await queue.close();
  print(`${word}: ${subject}. The next worker or \`kpatch-factory run\` carries it out.\n`);
}

program
  .command('serve')
  .description('serve the page')
  .option('--listen <address>', 'address and port', '127.0.0.1:8470')
  .action(async ({ listen }: { listen: string }) => {
    const { host, port } = addressIn(listen);
    await using opened = await open(common());
    const { factory } = opened;
    const server = pageServer(() => readReport(factory.config, factory.state), factory.state.blobs);
    await serveUntilStopped(server, host, port);
  });

program
  .command('export <FOLDER>')
  .description('write the page as files')
  .action(async (folder: string) => {
    await using opened = await open(common());
    const { config, state } = opened.factory;
    await exportPages(folder, await readReport(config, state), state.blobs);
  });

program
  .command('oval <FILE>')
  .description('write OVAL definitions for all kernels, which read the active live patches of a machine')
  .action(async (file: string) => {
    await using opened = await open(common());
    const { config, state } = opened.factory;
    writeAtomically(file, await factoryOval(config, state));
  });

program
  .command('dump <FILE>')
  .description('write everything but the queue to a file, for another version of the database')
  .action(async (file: string) => {
    await using opened = await open(common());
    writeAtomically(file, await opened.factory.state.dump());
  });

program
  .command('restore <FILE>')
  .description('read such a file into an empty database')
  .action(async (file: string) => {
    if (!existsSync(file)) throw failure('usage', { problem: `${file} does not exist` });
    await using opened = await open(common());
    const { state } = opened.factory;
    if ((await state.dump()) !== '') throw failure('usage', { problem: 'the database is not empty' });
    await state.restore(readFileSync(file, 'utf8'));
  });

try {
  await program.parseAsync(process.argv);
} catch (error) {
  const { exitCode, message } = error as { exitCode?: number; message: string };
  if (exitCode === 0) process.exitCode = 0;
  else {
    const known =
      error instanceof KpatchError
        ? error
        : exitCode === undefined
          ? undefined
          : failure('usage', { problem: message.replace(/^error: /, '') });
    if (known === undefined) throw error;
    printError(`${renderError(known)}\n`);
    process.exitCode = known.exit;
  }
}
