/**
 * The machine a command works on: where its interfaces lie, and the few acts that change it. Everything in `host/` reaches
 * the kernel through this one record, so that the same code runs on a real machine, on an image below `--root`, and on a
 * tree that a test made.
 */
import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { requireInside } from '../../base/inside.ts';
import { printableLine } from '../../base/printable.ts';
import { run } from '../../base/run.ts';
import { namesIn } from './attribute.ts';

/** What an act on the kernel came to; `message` is what the tool or the system said. */
export interface ActResult {
  readonly ok: boolean;
  readonly message: string;
}

/** The acts that change the running kernel. */
export interface KernelControl {
  /** insmod(8): loads the file; a livepatch module enables its patch while it initialises. */
  insmod(path: string): Promise<ActResult>;
  /** rmmod(8). */
  rmmod(name: string): Promise<ActResult>;
  /** Writes an attribute of sysfs. */
  write(path: string, value: string): ActResult;
  /** Sends a signal; a task that is gone is no error. */
  signal(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** The kernel's newest log lines that speak of `word` (a module's or patch's name), oldest first. */
  log(word: string): Promise<string[]>;
  /** One entry for the journal: fields in capitals, `MESSAGE` and `PRIORITY` among them. Never fails. */
  journal(fields: Readonly<Record<string, string>>): Promise<void>;
  /** Makes `kpatch.service` start at boot, where systemd and the unit are installed. */
  enableService(): Promise<ActResult>;
}

export interface Machine {
  /** `/sys`. */
  readonly sysfs: string;
  /** `/proc`. */
  readonly proc: string;
  /** `/lib/modules`, for the vermagic of the running kernel's own modules. */
  readonly modules: string;
  /** `/var/lib/kpatch`: one folder for each kernel release, as dynup/kpatch has it. */
  readonly store: string;
  /** `/run/kpatch`: the lock, and what is known of loaded modules; gone after a reboot. */
  readonly run: string;
  /** True for an image below `--root`: its kernel does not run, so nothing can be loaded into it. */
  readonly offline: boolean;
  readonly isRoot: boolean;
  readonly control: KernelControl;
  readonly clock: Clock;
}

/** Time in milliseconds; a test's clock jumps. */
export interface Clock {
  /** Monotonic. */
  now(): number;
  /** Of the day. */
  date(): Date;
  sleep(ms: number): Promise<void>;
}

/** The machine this process runs on; with `root` an image whose files lie below that folder. */
export function thisMachine(root = '/'): Machine {
  const offline = root !== '/';
  return {
    sysfs: join(root, 'sys'),
    proc: join(root, 'proc'),
    modules: join(root, 'lib/modules'),
    store: join(root, 'var/lib/kpatch'),
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

/** Makes sure that nothing is written outside of an image. Error: `usage`. */
export function keepInside(machine: Machine): void {
  if (!machine.offline) return;
  const releases = namesIn(machine.store).map((name) => join(machine.store, name));
  requireInside(dirname(machine.proc), [machine.run, machine.store, ...releases]);
}

/** Loading initialises the module: its pre-patch callbacks run before insmod returns. */
const INSMOD_MS = 300_000;

function realControl(): KernelControl {
  return {
    // Absolute, so that a file of whatever name is no option.
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
        // The task ended meanwhile: then it no longer holds the transition up either.
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
        // A machine without logger or journald: the command's own output is all there is.
      }
    },
    async enableService() {
      const unit = await act('systemctl', ['is-enabled', 'kpatch.service'], 10_000);
      if (unit.message.startsWith('enabled') || !unit.message.startsWith('disabled')) return { ok: true, message: '' };
      return act('systemctl', ['enable', 'kpatch.service'], 30_000);
    },
  };
}

async function act(command: string, args: readonly string[], timeoutMs: number): Promise<ActResult> {
  // kmod and systemctl may lie outside of the PATH that a service or sudo hands on.
  const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`;
  const { status, stdout, stderr } = await run(command, args, { env: { PATH, LC_ALL: 'C' }, timeoutMs });
  return { ok: status === 0, message: (stdout.toString() + stderr).trim() };
}
