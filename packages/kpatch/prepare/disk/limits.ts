/**
 * How much disk space the cache may use: sizes and ages as people write them, and the file in which a machine sets limits.
 * `/etc/kpatch/cache.conf` for root, `$XDG_CONFIG_HOME/kpatch/cache.conf` (`~/.config/kpatch/cache.conf`) for others; lines
 * `max_size=20G` and `older_than=90d`.
 */
import { existsSync } from 'node:fs';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { settingsFile } from '../../base/workspace.ts';

export interface CacheLimits {
  /** Bytes. */
  readonly maxSize?: number;
  /** Milliseconds since the last use. */
  readonly olderThan?: number;
}

const units: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };
const binary: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const hours: Readonly<Record<string, number>> = { h: 1, d: 24, w: 168 };

/** Bytes of a size: `20G` (10^9), `500MB`, `20GiB` (2^30), `1048576`. Undefined if the text is not a size. */
export function parseSize(text: string): number | undefined {
  const [, number, unit = '', i] = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?$/i.exec(text.trim()) ?? [];
  const factor = (i === undefined || i === '' ? units : binary)[unit.toUpperCase()];
  return number === undefined || factor === undefined ? undefined : Math.round(Number(number) * factor);
}

/** Milliseconds of an age: `12h`, `30d`, `8w`. Undefined if the text is not an age. */
export function parseAge(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+)\s*([hdw])$/.exec(text.trim()) ?? [];
  const factor = hours[unit];
  return number === undefined || factor === undefined ? undefined : Number(number) * factor * 3_600_000;
}

/** A size for people: `2.1 GB`, `71 MB`, `0 B`. */
export function sizeText(bytes: number): string {
  const [unit, factor] = (
    [
      ['TB', 1e12],
      ['GB', 1e9],
      ['MB', 1e6],
      ['kB', 1e3],
    ] as const
  ).find(([, least]) => bytes >= least) ?? ['B', 1];
  const value = bytes / factor;
  return `${value < 10 && factor > 1e6 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}

/** Where this user's limits are set. */
export function limitsFile(): string {
  return settingsFile('cache.conf');
}

/** The limits of this machine or user; none if there is no file. Errors: `cache-settings`, `file-unreadable`. */
export function readLimits(file = limitsFile()): CacheLimits {
  if (!existsSync(file)) return {};
  let limits: CacheLimits = {};
  for (const [index, line] of readBytes(file).toString('utf8').split('\n').entries()) {
    const text = line.replace(/#.*/, '').trim();
    if (text === '') continue;
    const [, key, value = ''] = /^(\w+)\s*=\s*(.*)$/.exec(text) ?? [];
    const size = key === 'max_size' ? parseSize(value) : undefined;
    const age = key === 'older_than' ? parseAge(value) : undefined;
    if (size === undefined && age === undefined) {
      throw failure('cache-settings', { file, line: index + 1, text }, { where: { file, line: index + 1 } });
    }
    limits = { ...limits, ...(size === undefined ? { olderThan: age! } : { maxSize: size }) };
  }
  return limits;
}
