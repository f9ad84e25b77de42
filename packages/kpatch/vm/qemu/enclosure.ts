/** The sandbox that QEMU runs in: a guest that takes it over reaches nothing but the files of its own machine. */
import { chmodSync, copyFileSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { isSandboxed } from '../../base/workspace.ts';
import { type CommandLine, commandLine } from '../../sandbox/sandbox.ts';
import { giveFolder, sandboxUser } from '../../sandbox/user.ts';
import type { View } from '../../sandbox/view.ts';

/** What the sandbox has to know of a machine, see `Machine`. */
interface Enclosed {
  readonly emulator: { readonly program: string };
  readonly image: string;
  readonly initramfs: string;
  readonly acceleration: string;
  readonly more?: readonly string[];
}

/** System calls that a virtual machine does not need (qemu(1), -sandbox). */
export const seccomp = ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'];

/**
 * True where QEMU gets a sandbox. A guest whose root filesystem is that of this machine (tests and demonstrations only) needs
 * all files and the rights of root.
 */
export function isEnclosed({ more = [] }: Pick<Enclosed, 'more'>): boolean {
  return isSandboxed() && !more.includes('-virtfs');
}

/** The command line of QEMU in its sandbox; the file descriptor `informant` tells `pidInside` what was started. */
export function enclosed(machine: Enclosed, args: readonly string[], informant: number): CommandLine {
  const { image, initramfs, more = [], acceleration } = machine;
  const drives = more.flatMap(filesOf);
  const written = drives.filter(({ readOnly }) => !readOnly).map(({ file }) => file);
  for (const file of written) giveFolder(file);
  const view: View = {
    readOnly: [image, dirname(initramfs), ...drives.filter(({ readOnly }) => readOnly).map(({ file }) => file)],
    writable: written,
  };
  const devices = acceleration === 'kvm' ? ['/dev/kvm'] : [];
  const network = more.includes('-netdev');
  return commandLine(machine.emulator.program, args, { view }, { devices, network, informant });
}

/** The machine with an image that the sandbox can read: some distributions keep vmlinuz from everybody but root. */
export function readableMachine<T extends Enclosed>(machine: T): T {
  if (sandboxUser() === undefined || (statSync(machine.image).mode & 0o004) !== 0) return machine;
  const image = join(dirname(machine.initramfs), 'image');
  copyFileSync(machine.image, image);
  chmodSync(image, 0o644);
  return { ...machine, image };
}

/** Files that an argument of QEMU names: `file=PATH,format=raw,readonly=on`, `path=PATH,readonly=on`; a comma in a path is doubled. */
function filesOf(argument: string): { file: string; readOnly: boolean }[] {
  const fields = argument.replaceAll(',,', '\0').split(',');
  const value = fields.find((field) => /^(?:file|mem-path|path)=\//.test(field));
  if (value === undefined) return [];
  return [
    { file: value.slice(value.indexOf('=') + 1).replaceAll('\0', ','), readOnly: fields.includes('readonly=on') },
  ];
}

/** QEMU's own process number, by what bubblewrap writes: that of the first process inside, whose only child is QEMU. */
export async function pidInside(informant: Readable): Promise<number | undefined> {
  let text = '';
  for await (const chunk of informant) {
    text += String(chunk);
    const first = /"child-pid": (\d+)/.exec(text)?.[1];
    if (first !== undefined) return await onlyChild(Number(first));
  }
  return undefined;
}

async function onlyChild(pid: number): Promise<number | undefined> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
      if (children !== '') return Number(children.split(' ')[0]);
    } catch {
      return undefined; // it has ended
    }
    await delay(5);
  }
  return undefined;
}
