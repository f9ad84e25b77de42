/**
 * The machine that a command works on: the paths of its interfaces and the few operations that change it. All code in `host/`
 * uses this record, so that the same code runs on a real machine, on an image under `--root`, and on a tree made by a test.
 */
import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { linksBelow, requireInside } from '../../base/inside.ts';
import { run } from '../../base/run.ts';
import { printableLine } from '../../base/text/printable.ts';

/** Result of an operation; `message` is the output of the tool or the system error. */
export interface ActResult {
  readonly ok: boolean;
  readonly message: string;
}

/** The operations that change the running kernel. */
export interface KernelControl {
  /** insmod(8): loads the file; a livepatch module enables its patch in its init function. */
  insmod(path: string): Promise<ActResult>;
  /** rmmod(8). */
  rmmod(name: string): Promise<ActResult>;
  /** Writes a sysfs attribute. */
  write(path: string, value: string): ActResult;
  /** Sends a signal; it is not an error if the task has exited. */
  signal(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** The newest kernel log lines that contain `word` (the name of a module), oldest first. */
  log(word: string): Promise<string[]>;
  /** Writes a journal entry: fields in capitals, including `MESSAGE` and `PRIORITY`. Never throws. */
  journal(fields: Readonly<Record<string, string>>): Promise<void>;
  /** Enables `kpatch.service`, if systemd and the unit are installed. */
  enableService(): Promise<ActResult>;
  /** Lets the units of the boot guard watch the next minutes, and the shutdown. Not ok where they are not installed. */
  watch(): Promise<ActResult>;
}

export interface Machine {
  /** `/sys`. */
  readonly sysfs: string;
  /** `/proc`. */
  readonly proc: string;
  /** `/lib/modules`, for the vermagic of the modules of the running kernel. */
  readonly modules: string;
  /** `/etc/kpatch`: the host policy and the keys it names. */
  readonly etc: string;
  /** `/var/lib/kpatch`: one folder for each kernel release, as dynup/kpatch has it. */
  readonly store: string;
  /** Where the log of a crashed kernel is found: pstore, the archive of systemd-pstore, the folder of kdump. */
  readonly crash: readonly string[];
  /** `/run/kpatch`: the lock and the records of loaded modules; gone after a reboot. */
  readonly run: string;
  /** True for an image under `--root`: its kernel is not running, so nothing can be loaded. */
  readonly offline: boolean;
  readonly isRoot: boolean;
  readonly control: KernelControl;
  readonly clock: Clock;
}

/** Time in milliseconds; tests replace the clock. */
export interface Clock {
  /** Monotonic. */
  now(): number;
  /** Wall clock. */
  date(): Date;
  sleep(ms: number): Promise<void>;
}

/** The machine this process runs on, or with `root` the image in that folder. */
export function thisMachine(root = '/'): Machine {
  const offline = root !== '/';
  return {
    sysfs: join(root, 'sys'),
    proc: join(root, 'proc'),
    modules: join(root, 'lib/modules'),
    etc: join(root, 'etc/kpatch'),
    store: join(root, 'var/lib/kpatch'),
    crash: ['sys/fs/pstore', 'var/lib/systemd/pstore', 'var/crash'].map((folder) => join(root, folder)),
    run: join(root, 'run/kpatch'),
    offline,
    isRoot: process.geteuid?.() === 0,
    control: realControl(),
    clock: {
      now: () => performance.now(),
      date: () => new Date(),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    },
  };
}

/** Deeper than any folder that kpatch makes. */
const LINK_DEPTH = 8;

/** Ensures that nothing is written outside an image. Error: `usage`. */
export function keepInside(machine: Machine): void {
  if (!machine.offline) return;
  const root = dirname(machine.proc);
  const folders = [machine.etc, machine.run, machine.store];
  requireInside(root, folders);
  // Also the lock, and the folders in which files are staged, kept and cleaned up.
  requireInside(
    root,
    folders.flatMap((folder) => linksBelow(folder, LINK_DEPTH)),
  );
}

/** Generous, because the pre-patch callbacks of the module run before insmod returns. */
const INSMOD_MS = 300_000;

function realControl(): KernelControl {
  return {
    // Absolute, so that no file name is mistaken for an option.
    insmod: (path) => act('insmod', [resolve(path)], INSMOD_MS),
    rmmod: (name) => act('rmmod', [name], INSMOD_MS),
    write(path, value) {
      try {
        writeFileSync(path, value);
        return { ok: true, message: '' };
      } catch (error) {
        return { ok: false, message: error instanceof Error ? error.message : String(error) };
      }
    },
    signal(pid, signal) {
      try {
        process.kill(pid, signal);
      } catch {
        // The task has exited, so it no longer blocks the transition.
      }
    },
    async log(word) {
      try {
        const { stdout } = await run('dmesg', [], { timeoutMs: 10_000 });
        return stdout
          .toString()
          .split('\n')
          .filter(
            (line) => line.includes(word) || /module (verification|signature)|unsigned module|lockdown/i.test(line),
          )
          .slice(-8);
      } catch {
        return [];
      }
    },
    async journal(fields) {
      const input = Object.entries(fields).map(([key, value]) => `${key}=${printableLine(value)}\n`);
      try {
        await run('logger', ['--journald'], { input: input.join(''), timeoutMs: 5000 });
      } catch {
        // Without logger or journald, the output of the command has to do.
      }
    },
    async enableService() {
      const unit = await act('systemctl', ['is-enabled', 'kpatch.service'], 10_000);
      if (unit.message.startsWith('enabled') || !unit.message.startsWith('disabled')) return { ok: true, message: '' };
      return act('systemctl', ['enable', 'kpatch.service'], 30_000);
    },
    async watch() {
      try {
        // What notes the shutdown must run first; a restart of it would count as one.
        const down = await act('systemctl', ['start', 'kpatch-shutdown.service'], 60_000);
        return down.ok ? await act('systemctl', ['restart', 'kpatch-survived.timer'], 60_000) : down;
      } catch (error) {
        return { ok: false, message: error instanceof Error ? error.message : String(error) };
      }
    },
  };
}

async function act(command: string, args: readonly string[], timeoutMs: number): Promise<ActResult> {
  // kmod and systemctl may be outside the PATH of a service or of sudo.
  const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`;
  const { status, stdout, stderr } = await run(command, args, { env: { PATH, LC_ALL: 'C' }, timeoutMs });
  return { ok: status === 0, message: (stdout.toString() + stderr).trim() };
}
