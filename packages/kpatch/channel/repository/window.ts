/**
 * Support windows: until when a kernel receives live patches, and what to reboot into. Dates are days, `YYYY-MM-DD`, UTC.
 */

import { upstreamOf } from '../../advisory/version.ts';
import { failure } from '../../base/errors/error.ts';

const day = 86_400_000;
/** A window that ends within this many days is announced as ending. */
export const ENDING_DAYS = 30;

export type WindowState = 'supported' | 'ending' | 'ended';

/** A day as given on a command line. Error: `usage`. */
export function parseDay(value: string, option: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(value) && dayOf(new Date(`${value}T00:00:00Z`)) === value) return value;
  throw failure('usage', { problem: `${option} needs a date such as 2026-11-24, not '${value}'` });
}

/** The day of an instant, UTC; empty for an invalid date. */
export function dayOf(date: Date): string {
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().slice(0, 10);
}

/** The last day of a window that begins at `released`: the same day of the month, or the month's last day. */
export function addMonths(released: string, months: number): string {
  const [year = 0, month = 1, date = 1] = released.split('-').map(Number);
  const last = new Date(Date.UTC(year, month - 1 + months + 1, 0)).getUTCDate();
  return dayOf(new Date(Date.UTC(year, month - 1 + months, Math.min(date, last))));
}

/** Days from one day to another, negative where it is before. */
export function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / day);
}

/** The state of a window on a day; its last day still belongs to it. */
export function stateOn(today: string, until: string): WindowState {
  const left = daysBetween(today, until);
  return left < 0 ? 'ended' : left <= ENDING_DAYS ? 'ending' : 'supported';
}

/**
 * Kernels that replace one another: of one distribution, architecture and series (`6.1`), and of one flavour (`rt-amd64`).
 */
export function lineOf(kernel: { release: string; arch: string; distribution: string }): string {
  const series = upstreamOf(kernel.release).split('.').slice(0, 2).join('.');
  const flavour = /-([a-z][a-z0-9-]*)$/.exec(kernel.release)?.[1] ?? '';
  return [kernel.distribution, kernel.arch, series, flavour].join(' ');
}
