/** `kpatch try`: a virtual machine that runs the target kernel with a live patch, for a person or for one command. */

import { KpatchError } from '../base/errors/error.ts';
import { guestShell, type ShellTerminal } from '../vm/agent/shell.ts';
import type { GuestFile } from '../vm/files/initramfs.ts';
import { mountScript, shareDrivers } from '../vm/files/share.ts';
import type { Guest } from '../vm/guest.ts';
import { bootKept } from '../vm/kept/kept.ts';
import { emulatorFor } from '../vm/qemu/emulator.ts';
import type { Subject } from './input/subject.ts';
import type { ProofKernel } from './run/check.ts';

/** Where the guest has the folder of this machine. */
export const FOLDER = '/mnt';

export interface TrialInput {
  readonly subject: Subject;
  readonly kernel: Pick<ProofKernel, 'release' | 'image' | 'modules'>;
  /** The folder that the guest can read. */
  readonly folder: string;
  /** More kernel modules for the guest. */
  readonly modules: readonly string[];
  /** Folder of kept guests. */
  readonly guests: string;
  readonly memoryMiB?: number;
  /** Leaves loading to the person. */
  readonly load: boolean;
  readonly onNote: (text: string) => void;
}

/** A guest that is ready: the patch is loaded if that was asked for. */
export interface Trial extends AsyncDisposable {
  readonly guest: Guest;
  /** True if the folder is mounted at `FOLDER`. */
  readonly shared: boolean;
  /** What loading the patch printed. */
  readonly loaded: string;
  /** A shell on the terminal until it ends; gives its status. */
  shell(terminal: ShellTerminal): Promise<number>;
}

/** Loading waits for grace periods of RCU, which are long in an emulated guest. */
const LOAD_MS = 300_000;

/** Starts the guest, brings the module in, mounts the folder, loads. Errors: those of `bootKept`, `guest-step-failed`. */
export async function startTrial(input: TrialInput): Promise<Trial> {
  const { subject, kernel, folder, guests, memoryMiB = 512, onNote } = input;
  const modules = kernel.modules;
  const available = [...new Set([...subject.targetModules, ...input.modules])];
  const guest = await bootKept(
    {
      image: kernel.image,
      memoryMiB,
      cpus: 1,
      files: { [`/kpatch/${subject.name}.ko`]: subject.bytes, '/bin/kpatch': guestProgram(subject.name) },
      ...(modules === undefined ? {} : { modules: { folder: modules, available, optional: shareDrivers } }),
      onWait: () => onNote('waiting for other virtual machines to finish'),
    },
    {
      folder: guests,
      label: kernel.release,
      share: folder,
      onNote,
      ...(modules === undefined ? {} : { drivers: modules }),
    },
  );
  try {
    const shared = (await guest.run(mountScript(FOLDER), { step: 'mount the folder' })).status === 0;
    // One whose hardware is missing is patched when it is loaded later.
    for (const name of available) await guest.run(`modprobe ${name}`);
    const loaded = input.load ? (await guest.runOk('kpatch load', { deadlineMs: LOAD_MS })).output.trim() : '';
    return {
      guest,
      shared,
      loaded,
      shell: (terminal) => guestShell(guest, emulatorFor(kernel.image), terminal, shared ? FOLDER : '/root'),
      [Symbol.asyncDispose]: () => guest.stop(),
    };
  } catch (error) {
    await guest.stop();
    throw error;
  }
}

/** True for the end of a guest that the person asked for: `poweroff`, `reboot`, Ctrl-]. */
export function wasEnded(error: unknown): boolean {
  return error instanceof KpatchError && error.code === 'guest-ended';
}

/**
 * The guest's own `kpatch`: starting the real one takes many seconds under emulation. It loads and unloads with the same
 * steps and says so in the same words; it checks nothing, because nothing in the guest can be lost.
 */
function guestProgram(name: string): GuestFile {
  const content = `#!/bin/sh
# kpatch in this virtual machine: load, unload, list.
patches=/sys/kernel/livepatch
tried=${name}
settle() { # NAME: waits until its transition has completed
  n=0
  while [ "$(cat $patches/$1/transition 2>/dev/null)" = 1 ]; do
    n=$((n + 1))
    [ $n -gt 1200 ] && { echo "kpatch: the transition of $1 has not completed after 60 s; kpatch list shows its state" >&2; exit 1; }
    sleep 0.05
  done
}
state() {
  if [ "$(cat $patches/$1/transition)" = 1 ]; then echo 'in transition'; elif [ "$(cat $patches/$1/enabled)" = 1 ]; then echo enabled; else echo disabled; fi
}
case $1 in
  load)
    file=\${2:-/kpatch/$tried.ko}
    [ -e "$file" ] || file=/kpatch/$2.ko
    [ -e "$file" ] || { echo "kpatch: there is no file $2 here" >&2; exit 1; }
    name=$(basename "$file" .ko | tr - _)
    [ -d $patches/$name ] && { echo "$name is already loaded and active"; exit 0; }
    if ! insmod "$file"; then echo 'kpatch: the kernel refuses the module; its messages:' >&2; dmesg | tail -n 6 >&2; exit 1; fi
    settle $name
    echo "$name is loaded and active" ;;
  unload)
    name=$(basename "\${2:-$tried}" .ko | tr - _)
    [ -d $patches/$name ] || { echo "kpatch: $name is not loaded" >&2; exit 1; }
    echo 0 >$patches/$name/enabled || exit 1
    settle $name
    n=0; until rmmod $name 2>/dev/null; do n=$((n + 1)); [ $n -gt 100 ] && { echo "kpatch: $name cannot be removed" >&2; exit 1; }; sleep 0.05; done
    echo "$name was unloaded" ;;
  list)
    found=
    for patch in $patches/*/; do
      [ -d "$patch" ] || continue
      found=1
      name=$(basename $patch)
      echo "$name [$(state $name)]"
      (cd $patch && for function in */*,*; do [ -e "$function" ] && echo "  $function"; done)
    done
    [ -n "$found" ] || echo 'no patch is loaded' ;;
  *)
    echo 'usage: kpatch load [FILE] | kpatch unload [NAME] | kpatch list   (this is a virtual machine: nothing here lasts)' >&2
    exit 2 ;;
esac
`;
  return { content, mode: 0o755 };
}
