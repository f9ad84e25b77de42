/** Why a rollout proceeds or waits, in words that a page and a command show. */
import { plural } from 'kpatch/parts';
import type { Finding, Judgement } from './evidence.ts';
import { metricWords, rateRules } from './metrics.ts';

export type ReasonCode =
  | 'draft'
  | 'halted'
  | 'paused'
  | 'frozen'
  | 'rolled-back'
  | 'finished'
  | 'moving'
  | 'window'
  | 'soaking'
  | 'few-host-days'
  | 'suspicion'
  | 'watching'
  | 'ready'
  | 'empty';

export interface Reason {
  readonly code: ReasonCode;
  /** A whole sentence. */
  readonly text: string;
  /** When this reason ends by itself (milliseconds), if that is known. */
  readonly until?: number;
}

/** A number with as many digits as a reader needs. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return 'no limit';
  if (value >= 1e6) return 'over 1,000,000';
  if (value >= 100) return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
  return String(Number(value.toPrecision(2)));
}

/** Hours and minutes, or days and hours. */
export function duration(seconds: number): string {
  const minutes = Math.max(0, Math.ceil(seconds / 60));
  if (minutes < 60) return plural(minutes, 'minute');
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? plural(hours, 'hour') : `${hours} h ${minutes % 60} min`;
  return hours % 24 === 0 ? plural(hours / 24, 'day') : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A time as 2026-12-01 14:05 UTC. */
export function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** What one finding says about the patched hosts. */
export function findingText(finding: Finding): string {
  const { metric, events, of, expected, unpatched, onlySideBySide } = finding;
  if (!(metric in rateRules))
    return `${plural(events, 'host')} of ${of} reported ${metricWords(metric)}; ${figure(expected)} are permitted`;
  const others =
    unpatched === undefined ? '' : `; unpatched hosts: ${unpatched.events} in ${figure(unpatched.hostDays)} host-days`;
  const usual = onlySideBySide ? 'the unpatched hosts have become worse as well' : `${figure(expected)} would be usual`;
  return `${metricWords(metric)} on ${plural(events, 'patched host')} in ${figure(of)} host-days, ${usual}${others}`;
}

/** Why the test halts. */
export function haltText({ evidence, limit, leading }: Judgement): string {
  return `The release harms hosts: ${findingText(leading)}. The evidence is ${figure(evidence)}, the limit ${figure(limit)}.`;
}
