/** Facts about the running kernel, from procfs and sysfs. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NT_GNU_BUILD_ID } from '../../formats/elf/constants.ts';
import { parseNotes } from '../../formats/elf/note.ts';
import { attribute, flagAttribute } from './attribute.ts';
import type { Machine } from './machine.ts';

export interface RunningKernel {
  /** `uname -r`; empty for an image, whose kernel is not running. */
  readonly release: string;
  /** Hexadecimal, from `/sys/kernel/notes`. */
  readonly buildId: string | undefined;
  /** Changes with every boot. */
  readonly bootId: string;
  readonly livepatch: boolean;
  /** `kernel.ftrace_enabled`; livepatch redirects functions through ftrace. */
  readonly ftraceEnabled: boolean | undefined;
  /** True if the kernel loads only signed modules (`module.sig_enforce`). */
  readonly signatureEnforced: boolean;
  /** `none`, `integrity` or `confidentiality`; `undefined` if the kernel has no lockdown. */
  readonly lockdown: string | undefined;
  readonly modulesDisabled: boolean;
  /** True with `kpatch.enable=0` on the kernel command line. */
  readonly disabledAtBoot: boolean;
}

/** Why the kernel refuses modules that are not signed with a key it knows; undefined if it takes them. */
export function signatureRequired({ signatureEnforced, lockdown }: RunningKernel): string | undefined {
  if (signatureEnforced) return 'module.sig_enforce is set';
  return lockdown === 'integrity' || lockdown === 'confidentiality' ? `lockdown mode is ${lockdown}` : undefined;
}

/** Reads the facts; those that the kernel does not expose are absent. Never throws. */
export function runningKernel({ proc, sysfs, offline }: Machine): RunningKernel {
  const lockdown = attribute(join(sysfs, 'kernel/security/lockdown'));
  const words = (attribute(join(proc, 'cmdline')) ?? '').split(/\s+/);
  return {
    release: offline ? '' : (attribute(join(proc, 'sys/kernel/osrelease')) ?? ''),
    buildId: buildIdIn(join(sysfs, 'kernel/notes')),
    bootId: attribute(join(proc, 'sys/kernel/random/boot_id')) ?? '',
    livepatch: existsSync(join(sysfs, 'kernel/livepatch')),
    ftraceEnabled: flagAttribute(join(proc, 'sys/kernel/ftrace_enabled')),
    signatureEnforced: flagAttribute(join(sysfs, 'module/module/parameters/sig_enforce')) ?? false,
    // `none [integrity] confidentiality`: the one in brackets is active.
    lockdown: /\[(\w+)\]/.exec(lockdown ?? '')?.[1],
    modulesDisabled: flagAttribute(join(proc, 'sys/kernel/modules_disabled')) ?? false,
    disabledAtBoot: words.includes('kpatch.enable=0'),
  };
}

/** The build-id in a file of ELF notes; `undefined` if the file is unreadable or has none. */
export function buildIdIn(path: string): string | undefined {
  try {
    const bytes = readFileSync(path);
    const notes = parseNotes(bytes, littleEndianNotes(bytes), 4, path);
    const note = notes.find(({ name, type }) => name === 'GNU' && type === NT_GNU_BUILD_ID);
    return note === undefined ? undefined : Buffer.from(note.desc).toString('hex');
  } catch {
    return undefined;
  }
}

/** The size of a note name is small, so its bytes reveal the byte order. */
function littleEndianNotes(bytes: Buffer): boolean {
  return bytes.length < 4 || bytes.readUInt32LE(0) < 0x10000;
}
