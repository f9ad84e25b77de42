/** The publisher's side of `kpatch channel`. */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { isCveId } from '../../advisory/record.ts';
import { readSources } from '../../advisory/sources.ts';
import { fail } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { readBytes } from '../../base/files.ts';
import { lock } from '../../base/lock.ts';
import { isRelease } from '../../channel/patch-module.ts';
import { addPatches, exists, putKernel } from '../../channel/repository/add.ts';
import { checkChannel, checkTree } from '../../channel/repository/check.ts';
import {
  type ChannelConfig,
  channelSchema,
  configDefaults,
  layout,
  problemOf,
  readConfig,
  writeConfig,
} from '../../channel/repository/config.ts';
import { exportKeys, secretKey } from '../../channel/repository/gpg.ts';
import { type ChannelKernel, findKernel, kernelSchema, readKernels, untilOf } from '../../channel/repository/kernel.ts';
import { prune } from '../../channel/repository/prune.ts';
import { publish } from '../../channel/repository/publish.ts';
import { addKey, retireKey } from '../../channel/repository/rotate.ts';
import { dayOf, parseDay } from '../../channel/repository/window.ts';
import { platformHere } from '../../platform/registry.ts';
import { action, type Context, type Outcome } from '../command.ts';

interface InitOptions {
  readonly name: string;
  readonly url: string;
  readonly key: string;
  readonly description?: string;
  readonly windowMonths?: string;
  readonly validDays?: string;
  readonly keep?: string;
  readonly requireProof?: boolean;
  readonly requireSignature?: boolean;
}

interface KernelOptions {
  readonly released?: string;
  readonly packageVersion?: string;
  readonly distribution?: string;
  readonly arch?: string;
  readonly extend?: string;
  readonly reason?: string;
}

interface AddCommandOptions {
  readonly release: string;
  readonly withdraw?: string[];
  readonly advisories?: string[];
}

export function registerPublish(channel: Command): void {
  channel
    .command('init <DIR>')
    .description('make a channel')
    .requiredOption('--name <name>', 'short name: letters, digits, dashes')
    .requiredOption('--url <url>', 'where DIR/public will be served')
    .requiredOption('--key <key>', 'the GnuPG key that signs (fingerprint or address; GNUPGHOME is respected)')
    .option('--description <text>', 'for people, one line')
    .option('--window-months <n>', `months of live patches for each kernel (${configDefaults.windowMonths})`)
    .option('--valid-days <n>', `days that a publication is valid (${configDefaults.validDays})`)
    .option('--keep <n>', `publications that are kept beside the newest (${configDefaults.keep})`)
    .option('--require-proof', 'take only patches that are proven')
    .option('--require-signature', 'take only modules that are signed')
    .option('--json', 'one JSON document')
    .action(action(init));
  channel
    .command('kernel <DIR> <RELEASE>')
    .description('take a kernel into the channel, or extend its window')
    .option('--released <day>', 'the day of its release, from which its window counts')
    .option('--package-version <version>', "version of the distribution's package, such as 6.1.192-2")
    .option('--distribution <name>', 'as advisories name it, such as Debian:12')
    .option('--arch <arch>', 'architecture, as `uname -m` prints it (default: this machine)')
    .option('--extend <day>', 'last day of its window')
    .option('--reason <text>', 'why the window is extended')
    .option('--json', 'one JSON document')
    .action(action(kernel));
  channel
    .command('add <DIR> <FILE...>')
    .description('add patch modules, or packages that kpatch package made')
    .option('-r, --release <number>', 'release of the packages that are made of modules', '1')
    .option('--withdraw <cve=reason...>', 'a CVE that the patch before fixes and this one does not')
    .option('--advisories <file...>', 'where titles and severities of the CVEs are read from')
    .option('--json', 'one JSON document')
    .action(action(add));
  channel
    .command('publish <DIR>')
    .description('publish what the channel holds, in one step')
    .option('--json', 'one JSON document')
    .action(action(publishIt));
  channel
    .command('check <DIR>')
    .description('read a channel, or a mirror of one, as a machine would')
    .option('--key <file>', 'public key to check a mirror with (a binary key ring such as key.gpg)')
    .option('--json', 'one JSON document')
    .action(action(check));
  channel
    .command('prune <DIR>')
    .description('remove old packages, kernels long past their window, old publications')
    .option('--patches <n>', 'patches that are kept of each kernel', '3')
    .option('--days <n>', 'days that a kernel stays listed after its window', '90')
    .option('--dry-run', 'only say what would go')
    .option('--json', 'one JSON document')
    .action(action(pruneIt));
  channel
    .command('key <DIR>')
    .description('rotate the key that signs')
    .option('--add <key>', 'a further key; from now on both sign')
    .option('--retire <key>', 'the old key stops signing; machines have learned the new one by then')
    .option('--json', 'one JSON document')
    .action(action(key));
}

/** SOURCE_DATE_EPOCH, where it is set, stands for now, so that a publication can be repeated. */
function now(): Date {
  const given = Number(process.env.SOURCE_DATE_EPOCH);
  return Number.isSafeInteger(given) && given > 0 ? new Date(given * 1000) : new Date();
}

function whole(value: string | undefined, otherwise: number, option: string): number {
  if (value === undefined) return otherwise;
  const count = Number(value);
  if (!/^\d+$/.test(value) || count > 1_000_000)
    throw fail('usage', { problem: `${option} is a whole number, not '${value}'` });
  return count;
}

function held(folder: string): ReturnType<typeof lock> {
  return lock(layout(folder).lock, `the channel ${folder}`, { waitMs: 60_000 });
}

async function init(_: Context, options: InitOptions, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  if (exists(folder)) throw fail('channel-exists', { folder });
  const signer = await secretKey(options.key);
  const config: ChannelConfig = {
    schema: channelSchema,
    name: options.name,
    description: options.description ?? `Live patches ${options.name}`,
    url: options.url.replace(/\/+$/, ''),
    keys: [signer.fingerprint],
    formerKeys: [],
    windowMonths: whole(options.windowMonths, configDefaults.windowMonths, '--window-months'),
    validDays: whole(options.validDays, configDefaults.validDays, '--valid-days'),
    keep: whole(options.keep, configDefaults.keep, '--keep'),
    require: { proof: options.requireProof === true, moduleSignature: options.requireSignature === true },
  };
  const problem = problemOf(config);
  if (problem !== undefined) throw fail('usage', { problem });
  mkdirSync(folder, { recursive: true });
  writeConfig(folder, config);
  const text = `channel ${config.name} in ${folder}, signed by ${signer.fingerprint}\nnext: kpatch channel kernel ${dir} RELEASE --released DAY`;
  return { schema: 'kpatch.channel-init/1', data: { folder, config }, text };
}

async function kernel(_: Context, options: KernelOptions, dir: string, release: string): Promise<Outcome> {
  const folder = resolve(dir);
  const config = readConfig(folder);
  if (!isRelease(release)) throw fail('usage', { problem: `'${release}' is no kernel release` });
  using _held = await held(folder);
  const before = findKernel(folder, release);
  const released = options.released === undefined ? before?.released : parseDay(options.released, '--released');
  if (released === undefined) throw fail('usage', { problem: 'a new kernel needs --released DAY' });
  if (options.extend !== undefined && options.reason === undefined)
    throw fail('usage', { problem: '--extend needs --reason TEXT' });
  const extended =
    options.extend === undefined
      ? (before?.extended ?? null)
      : { until: parseDay(options.extend, '--extend'), reason: options.reason ?? '' };
  const next: ChannelKernel = {
    schema: kernelSchema,
    release,
    arch: options.arch ?? before?.arch ?? platformHere().naming.uname,
    distribution: options.distribution ?? before?.distribution ?? 'Debian:12',
    packageVersion: options.packageVersion ?? before?.packageVersion ?? release,
    released,
    extended,
    patches: before?.patches ?? [],
  };
  await putKernel(folder, config, next, now());
  const until = untilOf(next, config);
  return {
    schema: 'kpatch.channel-kernel/1',
    data: { release, released, until, new: before === undefined },
    text: `${release}: live patches until ${until}`,
  };
}

async function add({ report }: Context, options: AddCommandOptions, dir: string, files: string[]): Promise<Outcome> {
  const folder = resolve(dir);
  const config = readConfig(folder);
  const release = whole(options.release, 1, '--release');
  if (release < 1) throw fail('usage', { problem: '--release begins at 1' });
  const withdrawn = (options.withdraw ?? []).map((text) => {
    const [, id = '', reason = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (!isCveId(id) || reason.trim() === '')
      throw fail('usage', { problem: `--withdraw is CVE=REASON, not '${text}'` });
    return { id, reason };
  });
  const { advisories } = readSources(options.advisories ?? []);
  using _held = await held(folder);
  const asked = { release, withdrawn, advisories, now: now() };
  const added = await report.stage('add', () => addPatches(folder, config, files, asked));
  const text = added.map(({ kernel: of, version, packages }) => `${of} ${version}: ${packages.join(', ')}`).join('\n');
  return { schema: 'kpatch.channel-add/1', data: { added }, text: `${text}\nnext: kpatch channel publish ${dir}` };
}

async function publishIt({ report }: Context, _: object, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  const config = readConfig(folder);
  using _held = await held(folder);
  const published = await publish(folder, config, now(), report);
  const text = `publication ${published.generation}: ${plural(published.kernels, 'kernel')}, ${plural(published.packages, 'package')}, valid until ${dayOf(published.validUntil)}\nserve ${layout(folder).public} as ${config.url}`;
  return { schema: 'kpatch.channel-publish/1', data: { ...published, public: layout(folder).public }, text };
}

async function check(_: Context, options: { key?: string }, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  const given = options.key === undefined ? undefined : readBytes(options.key);
  const checked = exists(folder)
    ? await checkOwn(folder, given)
    : await checkTree(folder, given ?? readBytes(`${folder}/key.gpg`), new Date());
  const { problems, files, packages, date, validUntil } = checked;
  const text = [
    ...problems.map((problem) => `problem: ${problem}`),
    `${files} files, ${packages} packages, published ${date}, valid until ${validUntil}: ${problems.length === 0 ? 'all is well' : `${problems.length} problems`}`,
  ].join('\n');
  return { exit: problems.length === 0 ? 0 : 1, schema: 'kpatch.channel-check/1', data: checked, text };
}

async function checkOwn(folder: string, given: Uint8Array | undefined) {
  const config = readConfig(folder);
  const ring = given ?? (await exportKeys([...config.keys, ...config.formerKeys])).binary;
  return checkChannel(folder, config, ring, new Date());
}

async function pruneIt(
  _: Context,
  options: { patches: string; days: string; dryRun?: boolean },
  dir: string,
): Promise<Outcome> {
  const folder = resolve(dir);
  const config = readConfig(folder);
  const patches = whole(options.patches, 3, '--patches');
  if (patches < 1) throw fail('usage', { problem: '--patches keeps at least one' });
  using _held = await held(folder);
  const days = whole(options.days, 90, '--days');
  const pruned = prune(folder, config, { patches, days, now: now(), dryRun: options.dryRun === true });
  const count = pruned.patches.length + pruned.kernels.length + pruned.files.length;
  const lines = [
    ...pruned.kernels.map((release) => `kernel ${release}`),
    ...pruned.patches.map((patch) => `patch ${patch}`),
    `${pruned.files.length} package files${options.dryRun === true ? ' would be' : ''} removed; they leave the repository with the next publish`,
  ];
  return {
    exit: count === 0 ? 3 : 0,
    schema: 'kpatch.channel-prune/1',
    data: pruned,
    text: count === 0 ? 'nothing to prune' : lines.join('\n'),
  };
}

async function key({ report }: Context, options: { add?: string; retire?: string }, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  if ((options.add === undefined) === (options.retire === undefined))
    throw fail('usage', { problem: 'give --add KEY or --retire KEY' });
  using _held = await held(folder);
  const config = readConfig(folder);
  const next =
    options.add === undefined
      ? await report.stage('sign packages with the new key', () => retireKey(folder, config, options.retire!))
      : await addKey(config, options.add);
  writeConfig(folder, next);
  return {
    schema: 'kpatch.channel-key/1',
    data: { keys: next.keys, formerKeys: next.formerKeys, kernels: readKernels(folder).length },
    text: `signing: ${next.keys.join(', ')}\nnext: kpatch channel publish ${dir}`,
  };
}
