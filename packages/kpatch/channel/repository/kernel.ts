/** A kernel of a channel, with all live patches that were published for it: `kernels/<release>.json`. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compareBy, type Scheme } from '../../advisory/version.ts';
import { failure } from '../../base/errors/error.ts';
import { writeAtomically } from '../../base/files.ts';
import { readJSON } from '../../base/plain.ts';
import type { channelKernelStoredDocument } from '../../documents/definitions/channel.ts';
import { formProblem, type Stored } from '../../documents/form.ts';
import { compareRecords, readRecord } from '../package/record.ts';
import { isRelease } from '../patch-module.ts';
import { type ChannelConfig, layout } from './config.ts';
import { addMonths, lineOf, stateOn, type WindowState } from './window.ts';

export const kernelSchema = 'kpatch.channel-kernel/1';

export type ChannelKernel = Stored<typeof channelKernelStoredDocument>;
export type PublishedPatch = ChannelKernel['patches'][number];
export type PoolFile = NonNullable<PublishedPatch['deb']>;

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
  if (kernel === undefined) throw failure('channel-kernel-unknown', { release, folder });
  return kernel;
}

/** One kernel, where the channel has it. */
export function findKernel(folder: string, release: string): ChannelKernel | undefined {
  const file = join(layout(folder).kernels, `${release}.json`);
  return isRelease(release) && existsSync(file) ? readKernelFile(file) : undefined;
}

function readKernelFile(file: string): ChannelKernel {
  const bad = (problem: string): Error => failure('channel-config', { file, problem }, { where: { file } });
  const value = readJSON(file);
  const problem = formProblem(kernelSchema, value);
  if (problem !== undefined) throw bad(problem);
  const kernel = value as ChannelKernel;
  if (!isRelease(kernel.release) || !file.endsWith(`/${kernel.release}.json`))
    throw bad('its name does not match its release');
  for (const { record } of kernel.patches) readRecord(record, file);
  return kernel;
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
