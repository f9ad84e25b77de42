/** `kpatch cache`: what kpatch keeps on the disk to be fast, how much it is, and how to make it less. */
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { cacheRoot } from '../../base/workspace.ts';
import { type CacheEntry, cacheEntries, kinds } from '../../prepare/disk/entries.ts';
import { type CacheLimits, limitsFile, parseAge, parseSize, readLimits, sizeText } from '../../prepare/disk/limits.ts';
import { pruneCache, total } from '../../prepare/disk/prune.ts';
import { action, type Context, type Outcome } from '../command.ts';

interface PruneOptions {
  readonly maxSize?: string;
  readonly olderThan?: string;
  readonly dryRun?: boolean;
}

export function register(program: Command): void {
  const cache = program
    .command('cache')
    .description('list, measure and prune what kpatch keeps on disk: prepared kernels, packages, compiled units');
  cache
    .command('list')
    .description('list every entry: what it is, its size, its last use, and whether it is in use')
    .option('--json', 'one JSON document')
    .action(action(list));
  cache
    .command('size')
    .description('print the disk space that the cache uses, by kind')
    .option('--json', 'one JSON document')
    .action(action(size));
  cache
    .command('prune')
    .description('remove leftovers, then old entries, then as much as is needed to get below the size limit')
    .option('--max-size <size>', 'limit of the whole cache: 20G, 500M, 0 (default: max_size of cache.conf)')
    .option(
      '--older-than <age>',
      'also remove entries not used for this long: 12h, 30d, 8w (default: older_than of cache.conf)',
    )
    .option('-n, --dry-run', 'print what would be removed; remove nothing')
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      `
Entries that a running kpatch uses are never removed. The others go in this order: leftovers of killed commands, downloaded
packages, booted guests, compiled units, prepared kernels; the least recently used first. All of them can be made again.

Limits in /etc/kpatch/cache.conf (lines max_size=20G, older_than=90d; for users other than root
~/.config/kpatch/cache.conf) apply to this command and each time a kernel has been prepared.`,
    )
    .action(action(prune));
}

async function list(): Promise<Outcome> {
  const entries = await cacheEntries();
  const rows = entries.map((entry) => [
    entry.kind,
    sizeText(entry.bytes),
    entry.used.slice(0, 10),
    entry.name,
    `${entry.what}${entry.inUse ? ' (in use)' : ''}`,
  ]);
  const head = ['KIND', 'SIZE', 'LAST USE', 'NAME', 'WHAT'];
  const text =
    entries.length === 0
      ? `The cache is empty: ${cacheRoot()}`
      : `${table([head, ...rows])}\n${sizeText(total(entries))} in ${cacheRoot()}`;
  return { schema: 'kpatch.cache/1', data: { folder: cacheRoot(), bytes: total(entries), entries }, text };
}

async function size(): Promise<Outcome> {
  const entries = await cacheEntries();
  const byKind = kinds
    .map((kind) => ({ kind, of: entries.filter((entry) => entry.kind === kind) }))
    .filter(({ of }) => of.length > 0)
    .map(({ kind, of }) => ({ kind, entries: of.length, bytes: total(of) }));
  const limits = readLimits();
  const rows = byKind.map((one) => [one.kind, sizeText(one.bytes), plural(one.entries, 'entry', 'entries')]);
  const limit = limits.maxSize === undefined ? '' : `, limit ${sizeText(limits.maxSize)} (${limitsFile()})`;
  const sum = `${sizeText(total(entries))} in ${cacheRoot()}${limit}`;
  const text = rows.length === 0 ? sum : `${table(rows)}\n${sum}`;
  const data = { folder: cacheRoot(), bytes: total(entries), kinds: byKind, maxSize: limits.maxSize ?? null };
  return { schema: 'kpatch.cache-size/1', data, text };
}

async function prune(_context: Context, options: PruneOptions): Promise<Outcome> {
  const dryRun = options.dryRun === true;
  const limits = limitsOf(options);
  const { removed, kept, before, after } = await pruneCache(limits, { dryRun });
  const line = ({ kind, name, bytes }: CacheEntry): string[] => [kind, sizeText(bytes), name];
  const lines = [
    ...(removed.length === 0 ? [] : [dryRun ? 'Would remove:' : 'Removed:', table(removed.map(line), '  ')]),
    ...(kept.length === 0 ? [] : ['In use, so kept:', table(kept.map(line), '  ')]),
    `${sizeText(before)} before, ${sizeText(after)} after`,
  ];
  if (limits.maxSize === undefined && limits.olderThan === undefined) {
    lines.push('No limit is set, so only leftovers are removed. Set one with --max-size or --older-than.');
  } else if (limits.maxSize !== undefined && after > limits.maxSize) {
    lines.push(`The cache is still larger than ${sizeText(limits.maxSize)}.`);
  }
  return { schema: 'kpatch.cache-prune/1', data: { dryRun, removed, kept, before, after }, text: lines.join('\n') };
}

/** The limits of the command line; each that is absent comes from cache.conf. Errors: `usage`, `cache-settings`. */
function limitsOf(options: PruneOptions): CacheLimits {
  const maxSize = options.maxSize === undefined ? undefined : parseSize(options.maxSize);
  const olderThan = options.olderThan === undefined ? undefined : parseAge(options.olderThan);
  if (options.maxSize !== undefined && maxSize === undefined) {
    throw failure('usage', { problem: `--max-size ${options.maxSize} is not a size such as 20G, 500M or 0` });
  }
  if (options.olderThan !== undefined && olderThan === undefined) {
    throw failure('usage', { problem: `--older-than ${options.olderThan} is not an age such as 12h, 30d or 8w` });
  }
  return {
    ...readLimits(),
    ...(maxSize === undefined ? {} : { maxSize }),
    ...(olderThan === undefined ? {} : { olderThan }),
  };
}

/** Columns; the second one, a size, is aligned to the right. */
function table(rows: readonly (readonly string[])[], indent = ''): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => {
      const cells = row.map((cell, column) =>
        column === 1 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      );
      return `${indent}${cells.join('  ')}`.trimEnd();
    })
    .join('\n');
}
