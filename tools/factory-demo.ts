/**
 * `make factory-demo`: from real CVE records to a channel, on the embedded database. The records are made from facts of real
 * ones, and the repository from the sources of two stock kernels: one commit for each record, with what changed between them
 * in its files and an `[ Upstream commit … ]` line. Then a new record arrives, then a fix of a fix, then a withdrawal. A virtual
 * machine that runs the older kernel follows the channel, and each of them becomes live in it.
 *
 * Options: --old R and --new R (two kernels of one line), --facts FILE, --count N, --proof none|quick|full, --repository DIR and
 * --records DIR (instead of the made ones; then --base and --branch name commits of it), --no-guest.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { cveRecord } from '../packages/kpatch/test/advisory/records.ts';
import { gnupgHome } from './channel-demo/gnupg.ts';
import { serveFolder } from './channel-demo/server.ts';
import { story } from './channel-demo/story.ts';
import { Follower } from './factory-demo/follower.ts';

const root = join(import.meta.dirname, '..');
const { values: options } = parseArgs({
  options: {
    old: { type: 'string', default: '6.1.0-47-amd64' },
    new: { type: 'string', default: '6.1.0-57-amd64' },
    facts: { type: 'string', default: join(root, 'packages/kpatch/test/fixtures/cve/facts-2026.json') },
    count: { type: 'string', default: '24' },
    proof: { type: 'string', default: 'quick' },
    repository: { type: 'string' },
    records: { type: 'string' },
    base: { type: 'string', default: 'HEAD' },
    branch: { type: 'string', default: 'HEAD' },
    guest: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const told = story();
const { say, seen, missed } = told;

interface Facts {
  readonly id: string;
  readonly title: string;
  readonly files: readonly string[];
  readonly introduced: readonly string[];
  readonly fixed: readonly { readonly commit: string }[];
  readonly fixedVersions: readonly string[];
  readonly affectedFrom: string | null;
}

interface Kernel {
  readonly tree: string;
  readonly image: string;
  readonly modules: string;
  readonly sourceVersion: string;
}

async function kernel(release: string): Promise<Kernel> {
  await runOk(join(root, 'bin/kpatch'), ['kernel', 'add', release], {
    timeoutMs: 1_800_000,
    onLine: (line) => say(`    ${line}`),
  });
  const { stdout } = await runOk(join(root, 'bin/kpatch'), ['kernel', 'show', release, '--json']);
  const { kernel: shown } = JSON.parse(stdout.toString()) as {
    kernel: { paths: Omit<Kernel, 'sourceVersion'>; sourceVersion: string };
  };
  const { tree, image, modules } = shown.paths;
  return { tree, image, modules, sourceVersion: shown.sourceVersion };
}

/** A repository of the files that the records name: the old source, then one commit for each record. */
class Repository {
  readonly folder: string;
  readonly #before: string;
  readonly #after: string;

  constructor(folder: string, before: string, after: string) {
    this.folder = folder;
    this.#before = before;
    this.#after = after;
  }

  async git(...args: string[]): Promise<string> {
    const who = ['-c', 'user.name=demo', '-c', 'user.email=demo@example.org'];
    return (await runOk('git', ['-C', this.folder, ...who, ...args])).stdout.toString().trim();
  }

  /** The base, with every file that any record names. */
  async start(files: readonly string[]): Promise<string> {
    mkdirSync(this.folder);
    await this.git('init', '-q', '-b', 'stable');
    for (const file of files) this.#copy(this.#before, file);
    return await this.#commit('The source of the older kernel');
  }

  /** Takes the newer version of these files; undefined if nothing changes. */
  async fix({ title, files, fixed }: Facts): Promise<string | undefined> {
    for (const file of files) this.#copy(this.#after, file);
    if ((await this.git('status', '--porcelain')) === '') return undefined;
    return await this.#commit(`${title}\n\n[ Upstream commit ${fixed.at(-1)?.commit} ]`);
  }

  /** A change of a comment, as the fix of a fix. */
  async fixOf(commit: string, file: string): Promise<string> {
    const path = join(this.folder, file);
    const text = readFileSync(path, 'latin1');
    writeFileSync(path, text.replace(/^(\treturn [^;\n]+;)$/m, '\tbarrier();\n$1'), 'latin1');
    return await this.#commit(`repair the demo's first fix\n\nFixes: ${commit.slice(0, 12)} ("the first fix")`);
  }

  #copy(tree: string, file: string): void {
    if (!existsSync(join(tree, file))) return;
    mkdirSync(dirname(join(this.folder, file)), { recursive: true });
    cpSync(join(tree, file), join(this.folder, file));
  }

  async #commit(message: string): Promise<string> {
    await this.git('add', '-A');
    await this.git('commit', '-q', '-m', message);
    return await this.git('rev-parse', 'HEAD');
  }
}

interface Status {
  readonly kernels: readonly {
    readonly release: string;
    readonly funnel: Readonly<Record<string, number>>;
    readonly cves: readonly { readonly cve: string; readonly outcome: string; readonly reason: string }[];
    readonly published?: { readonly version: number; readonly cves: readonly string[] };
  }[];
}

async function factory(home: string, ...args: string[]): Promise<string> {
  say(`$ kpatch-factory ${args.join(' ')}`);
  const { status, stdout, stderr } = await run(join(root, 'bin/kpatch-factory'), ['-C', home, ...args], {
    timeoutMs: 3_600_000,
    onLine: (line, stream) => stream === 'stderr' && say(`    ${line}`),
  });
  if (status !== 0) throw new Error(`kpatch-factory ${args[0]} ended with ${status}: ${stderr}`);
  return stdout.toString();
}

async function statuses(home: string): Promise<Status['kernels']> {
  return (JSON.parse(await factory(home, 'status', '--json')) as Status).kernels;
}

async function status(home: string): Promise<Status['kernels'][number]> {
  const [first] = await statuses(home);
  if (first === undefined) throw new Error('the factory has no kernel');
  return first;
}

/** A channel for both kernels at this address. */
async function channel(folder: string, url: string, older: Kernel, newer: Kernel): Promise<void> {
  const gpg = [
    '--batch',
    '--quiet',
    '--passphrase',
    '',
    '--quick-generate-key',
    'Demo <demo@example.org>',
    'rsa3072',
    'sign',
    '1y',
  ];
  await runOk('gpg', gpg);
  const kpatch = (...args: string[]) => runOk(join(root, 'bin/kpatch'), ['channel', ...args]);
  await kpatch('init', folder, '--name', 'demo', '--url', url, '--key', 'demo@example.org');
  const today = new Date().toISOString().slice(0, 10);
  for (const [release, { sourceVersion }] of [
    [options.old, older],
    [options.new, newer],
  ] as const)
    await kpatch('kernel', folder, release, '--released', today, '--package-version', sourceVersion);
}

async function main(): Promise<void> {
  using work = temporaryFolder('kpatch-factory-demo-');
  await using _gnupg = gnupgHome(join(work.path, 'gnupg'));
  say(`== the kernels ${options.old} and ${options.new}`);
  const [older, newer] = [await kernel(options.old), await kernel(options.new)];

  say('\n== records and repository');
  const facts = JSON.parse(readFileSync(options.facts, 'utf8')) as Facts[];
  const [home, records, later] = ['home', 'records', 'later'].map((name) => join(work.path, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [home, records, later]) mkdirSync(folder);
  const repository = new Repository(join(work.path, 'linux'), older.tree, newer.tree);
  const own = options.repository === undefined;
  const base = own ? await repository.start(facts.flatMap(({ files }) => files)) : options.base;
  const commits = new Map<string, string>();
  for (const one of own ? facts : []) {
    if (commits.size > Number(options.count)) break;
    const commit = await repository.fix(one);
    if (commit === undefined) continue;
    commits.set(one.id, commit);
    const { affectedFrom, fixed, ...rest } = one;
    const record = cveRecord({
      ...rest,
      ...(affectedFrom === null ? {} : { from: affectedFrom }),
      fixed: fixed.map(({ commit: id }) => id),
    });
    writeFileSync(
      join(commits.size > Number(options.count) ? later : records, `${one.id}.json`),
      JSON.stringify(record),
    );
  }
  const head = [...commits.values()].at(-1) ?? base;
  say(`${commits.size} records with a commit each`);
  const live = join(work.path, 'channel');
  await using server = await serveFolder(join(live, 'public'));
  // The address of this machine's loopback, as the guest sees it.
  await channel(live, `http://10.0.2.2:${server.port}`, older, newer);
  const config = {
    schema: 'kpatch.factory/1',
    feeds: [options.records ?? records],
    repository: options.repository ?? repository.folder,
    branch: own ? 'stable' : options.branch,
    kernels: own
      ? [
          { release: options.old, base },
          { release: options.new, base: head },
        ]
      : [{ release: options.old, base }],
    channel: live,
    decision: 'automatic',
    proof: options.proof,
  };
  writeFileSync(join(home, 'factory.json'), JSON.stringify(config, null, 1));

  say('\n== from the feed to the channel');
  say(await factory(home, 'run'));
  const first = await status(home);
  for (const one of await statuses(home)) {
    say(`  ${one.release}`);
    for (const { cve, outcome, reason } of one.cves)
      say(`    ${cve.padEnd(16)} ${outcome.padEnd(26)} ${reason.slice(0, 150)}`);
  }
  seen('a live patch is in the channel', first.published !== undefined);
  seen(
    'every CVE has an outcome, and what is left out has a reason',
    first.cves.every(({ outcome, reason }) => outcome !== 'left out' || reason !== ''),
  );
  if (!own || first.published === undefined) return;
  await using machine = options.guest
    ? await Follower.boot(told, { ...older, release: options.old, version: older.sourceVersion }, work.path, live)
    : undefined;
  await machine?.follows(`http://10.0.2.2:${server.port}`, first.published);

  say('\n== a new record');
  const [next] = [...commits.keys()].slice(Number(options.count));
  if (next !== undefined) renameSync(join(later, `${next}.json`), join(records, `${next}.json`));
  await factory(home, 'run');
  const second = await status(home);
  seen(
    'the new record has an outcome',
    second.cves.some(({ cve, outcome }) => cve === next && outcome !== 'open'),
  );
  await machine?.has('the new record is live in the machine', second.published!);

  say('\n== a fix of a fix');
  const [fixed = ''] = first.published.cves;
  const file = facts.find(({ id }) => id === fixed)?.files.find((name) => name.endsWith('.c')) ?? '';
  const repair = await repository.fixOf(commits.get(fixed)!, file);
  await factory(home, 'run');
  const events = await factory(home, 'events');
  const third = await status(home);
  seen(
    `the fix of the fix of ${fixed} was taken in or refused with a reason`,
    third.published!.version > (second.published?.version ?? 0) || events.includes(repair),
  );
  await machine?.has('so is the fix of the fix', third.published!);

  say('\n== a withdrawal');
  const [gone = ''] = third.published!.cves;
  await factory(home, 'withdraw', gone, '--reason', 'the demo takes it back');
  await factory(home, 'run');
  const last = await status(home);
  seen(`${gone} is out of the live patches`, last.published?.cves.includes(gone) === false);
  await machine?.has(`${gone} is withdrawn in the machine too`, last.published!, gone);
  await machine?.isIntact();
  say(`\n${JSON.stringify(last.funnel)}`);
}

const start = performance.now();
await main();
say(`\n${((performance.now() - start) / 60_000).toFixed(1)} minutes`);
process.exitCode = missed() === 0 ? 0 : 1;
