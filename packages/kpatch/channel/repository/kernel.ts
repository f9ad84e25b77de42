/** A kernel of a channel, with all live patches that were published for it: `kernels/<release>.json`. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compareBy, type Scheme } from '../../advisory/version.ts';
import { fail } from '../../base/errors/error.ts';
import { writeAtomically } from '../../base/files.ts';
import { list, number, object, readJSON, text } from '../../base/plain.ts';
import { compareRecords, type LivePatchRecord, readRecord } from '../package/record.ts';
import { isRelease } from '../patch-module.ts';
import type { Evidence } from '../trust.ts';
import { type ChannelConfig, layout } from './config.ts';
import { addMonths, lineOf, stateOn, type WindowState } from './window.ts';

export const kernelSchema = 'kpatch.channel-kernel/1';

export interface PoolFile {
  readonly file: string;
  readonly size: number;
  readonly sha256: string;
}

export interface PublishedPatch extends Evidence {
  readonly record: LivePatchRecord;
  /** When it was added, ISO 8601 UTC. */
  readonly issued: string;
  readonly deb: PoolFile | null;
  readonly rpm: PoolFile | null;
}

export interface ChannelKernel {
  readonly schema: typeof kernelSchema;
  readonly release: string;
  readonly arch: string;
  /** As advisories name it, `Debian:12`. */
  readonly distribution: string;
  /** Of the distribution's package, `6.1.192-2`; decides which kernel is newer. */
  readonly packageVersion: string;
  /** Day of its release. */
  readonly released: string;
  readonly extended: { readonly until: string; readonly reason: string } | null;
  /** Oldest first; the first is the subscription, 0-0, until it is pruned. */
  readonly patches: readonly PublishedPatch[];
}

/** The day until which a kernel receives live patches. */
export function untilOf(kernel: ChannelKernel, config: ChannelConfig): string {
  return kernel.extended?.until ?? addMonths(kernel.released, config.windowMonths);
}

/** The state of a kernel's window on a day. */
export function windowOf(kernel: ChannelKernel, config: ChannelConfig, today: string): WindowState {
  return stateOn(today, untilOf(kernel, config));
}

/** The newest patch that is one, not the subscription. */
export function newestPatch(kernel: ChannelKernel): PublishedPatch | undefined {
  return kernel.patches.findLast((patch) => patch.record.module !== null);
}

/** The newest package, the subscription included. */
export function newestPackage(kernel: ChannelKernel): PublishedPatch | undefined {
  return kernel.patches.at(-1);
}

/** All kernels of a channel, in order of their release. Errors: `channel-config`, `channel-not-json`, `channel-record`. */
export function readKernels(folder: string): ChannelKernel[] {
  const { kernels } = layout(folder);
  const names = existsSync(kernels) ? readdirSync(kernels).filter((name) => name.endsWith('.json')) : [];
  return names.map((name) => readKernelFile(join(kernels, name))).sort((a, b) => compareVersions(a.release, b.release));
}

/** One kernel. Error: `channel-kernel-unknown`. */
export function readKernel(folder: string, release: string): ChannelKernel {
  const kernel = findKernel(folder, release);
  if (kernel === undefined) throw fail('channel-kernel-unknown', { release, folder });
  return kernel;
}

/** One kernel, where the channel has it. */
export function findKernel(folder: string, release: string): ChannelKernel | undefined {
  const file = join(layout(folder).kernels, `${release}.json`);
  return isRelease(release) && existsSync(file) ? readKernelFile(file) : undefined;
}

function readKernelFile(file: string): ChannelKernel {
  const plain = object(readJSON(file));
  const bad = (problem: string): Error => fail('channel-config', { file, problem }, { where: { file } });
  if (plain.schema !== kernelSchema) throw bad(`its schema is not ${kernelSchema}`);
  const kernel = plain as unknown as ChannelKernel;
  for (const field of ['release', 'arch', 'distribution', 'packageVersion', 'released'] as const) {
    if (text(plain[field]) === undefined) throw bad(`the field '${field}' is missing`);
  }
  if (!isRelease(kernel.release) || !file.endsWith(`/${kernel.release}.json`))
    throw bad('its name does not match its release');
  if (!/^\d{4}-\d{2}-\d{2}$/.test(kernel.released)) throw bad('released is not a date');
  if (kernel.extended !== null && text(object(plain.extended).until) === undefined)
    throw bad('extended has no end date');
  for (const patch of list(plain.patches).map(object)) {
    readRecord(patch.record, file);
    for (const format of ['deb', 'rpm']) {
      const pool = patch[format] === null ? undefined : object(patch[format]);
      if (
        pool !== undefined &&
        (!isPoolName(pool.file) || number(pool.size) === undefined || text(pool.sha256) === undefined)
      ) {
        throw bad('a package lacks file, size or sha256');
      }
    }
  }
  return { ...kernel, patches: list(plain.patches) as ChannelKernel['patches'] };
}

function isPoolName(value: unknown): boolean {
  return typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9._+~-]*\.(?:deb|rpm)$/.test(value);
}

/** Writes a kernel's file: the moment from which its patches are part of the channel. */
export function writeKernel(folder: string, kernel: ChannelKernel): void {
  const { kernels } = layout(folder);
  mkdirSync(kernels, { recursive: true });
  const patches = [...kernel.patches].sort((a, b) => compareRecords(a.record, b.record));
  writeAtomically(join(kernels, `${kernel.release}.json`), `${JSON.stringify({ ...kernel, patches }, null, 1)}\n`);
}

/** Order of kernels of one line: by the distribution's package version, then by release. */
export function compareKernels(a: ChannelKernel, b: ChannelKernel): number {
  const scheme: Scheme = /\.(?:el|fc)\d/.test(a.packageVersion) ? 'rpm' : 'deb';
  return compareBy(scheme)(a.packageVersion, b.packageVersion) || compareVersions(a.release, b.release);
}

function compareVersions(a: string, b: string): number {
  return compareBy('deb')(a, b);
}

/** What a machine that runs `kernel` should reboot into: the newest of its line, where that is another one. */
export function rebootInto(kernel: ChannelKernel, kernels: readonly ChannelKernel[]): string | null {
  const line = kernels.filter((other) => lineOf(other) === lineOf(kernel)).sort(compareKernels);
  const newest = line.at(-1);
  return newest === undefined || newest.release === kernel.release ? null : newest.release;
}
