/** The publisher side of `kpatch channel`: kernels, patches, publications. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { ecosystemHere } from '../../advisory/kernel.ts';
import { isCveId } from '../../advisory/record.ts';
import { readSources } from '../../advisory/sources.ts';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { readBytes } from '../../base/files.ts';
import { readPublicKeys } from '../../channel/follow/manager/key.ts';
import { isRelease } from '../../channel/patch-module.ts';
import { addPatches, exists, putKernel } from '../../channel/repository/add.ts';
import { checkChannel, checkTree } from '../../channel/repository/check.ts';
import { layout, readConfig } from '../../channel/repository/config.ts';
import { exportKeys } from '../../channel/repository/gpg.ts';
import { type ChannelKernel, findKernel, kernelSchema, untilOf } from '../../channel/repository/kernel.ts';
import { prune } from '../../channel/repository/prune.ts';
import { publish } from '../../channel/repository/publish.ts';
import type { TufKeys } from '../../channel/repository/tuf/repository.ts';
import { dayOf, parseDay } from '../../channel/repository/window.ts';
import { keysOfFolder } from '../../channel/tuf/key.ts';
import { machineNameHere } from '../../platform/registry.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type PassphraseOptions, passphraseOf, withPassphrase } from '../passphrase.ts';
import { held, now, whole } from './publisher.ts';

interface PublishOptions extends PassphraseOptions {
  readonly tufKeys?: string;
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
    .command('kernel <DIR> <RELEASE>')
    .description('add a kernel to the channel, or extend its support window')
    .option('--released <day>', 'day of its release, on which its support window starts')
    .option('--package-version <version>', 'version of its package, such as 6.1.192-2')
    .option('--distribution <name>', 'distribution as named in advisories, such as Debian:12 (default: this one)')
    .option('--arch <arch>', 'architecture, as `uname -m` prints it (default: this machine)')
    .option('--extend <day>', 'new last day of its support window')
    .option('--reason <text>', 'why the window is extended')
    .option('--json', 'print JSON')
    .action(action(kernel));
  channel
    .command('add <DIR> <FILE...>')
    .description('add livepatch modules, or packages built by kpatch package')
    .option('-r, --release <number>', 'release number of packages built from modules', '1')
    .option('--withdraw <cve=reason...>', 'a CVE that the previous patch fixes and this one does not')
    .option('--advisories <file...>', 'advisories to read titles and severities of CVEs from')
    .option('--no-sandbox', 'unpack packages with all your rights (dangerous)')
    .option('--json', 'print JSON')
    .action(action(add));
  withPassphrase(
    channel
      .command('publish <DIR>')
      .description('publish the content of the channel atomically')
      .option(
        '--tuf-keys <folder>',
        'folder with the keys of targets, snapshot and timestamp (or $KPATCH_CHANNEL_KEYS)',
      ),
  )
    .option('--json', 'print JSON')
    .action(action(publishIt));
  channel
    .command('check <DIR>')
    .description('verify a channel or a mirror the way machines do')
    .option('--key <file>', 'public key to verify a mirror with, armored or binary (default: its own key.gpg)')
    .option(
      '--tuf-root <file>',
      'root.json to verify the TUF repository of a mirror with (default: its own first root)',
    )
    .option('--json', 'print JSON')
    .action(action(check));
  channel
    .command('prune <DIR>')
    .description('remove old packages, kernels long out of support, and old publications')
    .option('--patches <n>', 'patches to keep for each kernel', '3')
    .option('--days <n>', 'days for which a kernel stays listed after its support ended', '90')
    .option('--dry-run', 'only print what would be removed')
    .option('--json', 'print JSON')
    .action(action(pruneIt));
}

async function kernel(_: Context, options: KernelOptions, dir: string, release: string): Promise<Outcome> {
  const folder = resolve(dir);
  const config = readConfig(folder);
  if (!isRelease(release)) throw failure('usage', { problem: `'${release}' is not a kernel release` });
  using _held = await held(folder);
  const before = findKernel(folder, release);
  const released = options.released === undefined ? before?.released : parseDay(options.released, '--released');
  if (released === undefined) throw failure('usage', { problem: 'a new kernel needs --released DAY' });
  if (options.extend !== undefined && options.reason === undefined)
    throw failure('usage', { problem: '--extend needs --reason TEXT' });
  const extended =
    options.extend === undefined
      ? (before?.extended ?? null)
      : { until: parseDay(options.extend, '--extend'), reason: options.reason ?? '' };
  const distribution = options.distribution ?? before?.distribution ?? ecosystemHere();
  if (distribution === undefined)
    throw failure('usage', {
      problem: 'kpatch does not know how advisories name this distribution: give --distribution NAME',
    });
  const next: ChannelKernel = {
    schema: kernelSchema,
    release,
    arch: options.arch ?? before?.arch ?? machineNameHere(),
    distribution,
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
  if (release < 1) throw failure('usage', { problem: '--release must be at least 1' });
  const withdrawn = (options.withdraw ?? []).map((text) => {
    const [, id = '', reason = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (!isCveId(id) || reason.trim() === '')
      throw failure('usage', { problem: `--withdraw needs CVE=REASON, not '${text}'` });
    return { id, reason };
  });
  const { advisories } = readSources(options.advisories ?? []);
  using _held = await held(folder);
  const asked = { release, withdrawn, advisories, now: now() };
  const added = await report.stage('add', () => addPatches(folder, config, files, asked));
  const text = added.map(({ kernel: of, version, packages }) => `${of} ${version}: ${packages.join(', ')}`).join('\n');
  return { schema: 'kpatch.channel-add/1', data: { added }, text: `${text}\nnext: kpatch channel publish ${dir}` };
}

/** The keys of the roles that sign at every publication. */
function roleKeys(options: PublishOptions): TufKeys {
  const folder = options.tufKeys ?? process.env.KPATCH_CHANNEL_KEYS;
  return folder === undefined
    ? { folder: '(no folder given)', keys: [] }
    : { folder, keys: keysOfFolder(folder, passphraseOf(options)) };
}

async function publishIt({ report }: Context, options: PublishOptions, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  const config = readConfig(folder);
  using _held = await held(folder);
  const published = await publish(folder, config, now(), report, roleKeys(options));
  const text = `publication ${published.generation}: ${plural(published.kernels, 'kernel')}, ${plural(published.packages, 'live patch package')}, valid until ${dayOf(published.validUntil)}\nserve ${layout(folder).public} as ${config.url}`;
  return {
    schema: 'kpatch.channel-publish/1',
    data: {
      ...published,
      date: published.date.toISOString(),
      validUntil: published.validUntil.toISOString(),
      public: layout(folder).public,
    },
    text,
  };
}

async function check(_: Context, options: { key?: string; tufRoot?: string }, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  const given = options.key === undefined ? undefined : readPublicKeys(options.key).binary;
  if (!exists(folder) && given === undefined && !existsSync(join(folder, 'key.gpg')))
    throw failure('channel-none', { folder });
  const root = options.tufRoot === undefined ? undefined : readBytes(options.tufRoot);
  const checked = exists(folder)
    ? await checkOwn(folder, given)
    : await checkTree(folder, given ?? readBytes(join(folder, 'key.gpg')), new Date(), root);
  const { problems, files, packages, date, validUntil } = checked;
  const text = [
    ...problems.map((problem) => `problem: ${problem}`),
    `${plural(files, 'file')}, ${plural(packages, 'package')} with those of the channel itself, published ${date}, valid until ${validUntil}: ${problems.length === 0 ? 'no problems' : plural(problems.length, 'problem')}`,
    ...(root === undefined && !exists(folder) && existsSync(join(folder, 'tuf'))
      ? ['the TUF repository was verified with its own first root only: give --tuf-root FILE']
      : []),
  ].join('\n');
  return { exit: problems.length === 0 ? 0 : 1, schema: 'kpatch.channel-check/1', data: checked, text };
}

async function checkOwn(folder: string, given: Uint8Array | undefined) {
  const config = readConfig(folder);
  const ring = given ?? (await exportKeys(config.keys)).binary;
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
  if (patches < 1) throw failure('usage', { problem: '--patches must be at least 1' });
  using _held = await held(folder);
  const days = whole(options.days, 90, '--days');
  const pruned = prune(folder, config, { patches, days, now: now(), dryRun: options.dryRun === true });
  const count = pruned.patches.length + pruned.kernels.length + pruned.files.length;
  const lines = [
    ...pruned.kernels.map((release) => `kernel ${release}`),
    ...pruned.patches.map((patch) => `patch ${patch}`),
    `${plural(pruned.files.length, 'package file')}${options.dryRun === true ? ' would be' : ''} removed; the next publication no longer contains them`,
  ];
  return {
    exit: count === 0 ? 3 : 0,
    schema: 'kpatch.channel-prune/1',
    data: pruned,
    text: count === 0 ? 'nothing to prune' : lines.join('\n'),
  };
}
