/**
 * A machine for tests: a tree with /proc, /sys and the store in a temporary folder, and a kernel that answers insmod, rmmod
 * and writes to sysfs as the real one does, on a clock that jumps.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SHT } from '#kpatch/formats/elf/constants.ts';
import { type ElfObject, newSection } from '#kpatch/formats/elf/object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';
import { loadedPatch } from '#kpatch/host/live/livepatches.ts';
import type { ActResult, Machine } from '#kpatch/host/machine/machine.ts';
import { moduleFileOf } from '#kpatch/host/store/module-file.ts';
import { addManifest, type Manifest } from '#kpatch/module/manifest.ts';
import { x86_64 } from '#kpatch/platform/x86_64/machine.ts';

export const RELEASE = '6.1.0-56-amd64';
export const VERMAGIC = `${RELEASE} SMP preempt mod_unload modversions`;
export const BUILD_ID = '00112233445566778899aabbccddeeff00112233';

export interface ModuleFields {
  readonly name: string;
  readonly vermagic?: string;
  readonly livepatch?: boolean;
  readonly manifest?: Partial<Manifest> | false;
  /** Hexadecimal, of 20 bytes. */
  readonly buildId?: string;
  /** `EM` of the file (default: that of x86-64). */
  readonly machine?: number;
  /** More bytes, so that two modules of a name differ. */
  readonly filling?: string;
}

/** The bytes of a livepatch module as far as a host looks at it. */
export function moduleBytes(fields: ModuleFields): Uint8Array {
  const {
    name,
    vermagic = VERMAGIC,
    livepatch = true,
    manifest = {},
    buildId,
    filling = '',
    machine = x86_64.machine,
  } = fields;
  const info = [`name=${name}`, `vermagic=${vermagic}`, ...(livepatch ? ['livepatch=Y'] : []), `filling=${filling}`];
  const object: ElfObject = {
    file: `${name}.ko`,
    littleEndian: true,
    machine,
    flags: 0,
    osabi: 0,
    sections: [newSection({ name: '.modinfo', type: SHT.PROGBITS, data: Buffer.from(`${info.join('\0')}\0`) })],
    symbols: [],
  };
  if (buildId !== undefined) {
    object.sections.push(newSection({ name: '.note.gnu.build-id', type: SHT.NOTE, data: buildIdNote(buildId) }));
  }
  if (manifest !== false) addManifest(object, manifestOf(name, manifest));
  return writeObject(object);
}

/** An ELF note as the linker writes it. */
export function buildIdNote(buildId: string): Buffer {
  return Buffer.from(`040000001400000003000000474e5500${buildId}`, 'hex');
}

export function manifestOf(name: string, fields: Partial<Manifest> = {}): Manifest {
  return {
    schema: 'kpatch.manifest/1',
    name,
    version: 1,
    release: RELEASE,
    arch: 'x86_64',
    buildId: BUILD_ID,
    replace: true,
    functions: [{ name: 'meminfo_proc_show', object: 'vmlinux', sympos: 1, patches: [] }],
    cves: [],
    states: [],
    patches: [],
    runPre: 'matched',
    tool: 'test',
    ...fields,
  };
}

export interface FakeTask {
  readonly pid: number;
  readonly command: string;
  readonly state?: string;
  readonly kernelThread?: boolean;
  readonly stack?: readonly string[];
  /** Milliseconds until it switches (default: never). */
  readonly movesAfter?: number;
  /** Switches when it is signalled. */
  readonly movesOnSignal?: boolean;
  /** No replaced function is on its stack, so that no transition waits for it. */
  readonly unseen?: boolean;
}

export class FakeMachine implements Machine {
  readonly folder: string;
  readonly sysfs: string;
  readonly proc: string;
  readonly modules: string;
  readonly etc: string;
  readonly crash: readonly string[];
  readonly store: string;
  readonly run: string;
  readonly offline = false;
  isRoot = true;
  /** True if the units of the boot guard run. */
  isWatched = true;
  now = 0;
  /** What was done to the kernel, in order. */
  readonly acts: string[] = [];
  readonly journal: Record<string, string>[] = [];
  /** Tasks that have not switched when a transition begins. */
  tasks: FakeTask[] = [];
  /** Answers of the next insmods; `undefined` loads as usual. */
  refusals: (string | undefined)[] = [];
  readonly #began = new Map<string, number>();

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'kpatch-host-'));
    const at = (path: string): string => join(this.folder, path);
    this.sysfs = at('sys');
    this.proc = at('proc');
    this.modules = at('modules');
    this.etc = at('etc');
    this.crash = [at('pstore'), at('crash')];
    this.store = at('store');
    this.run = at('run');
    mkdirSync(at('sys/kernel/livepatch'), { recursive: true });
    this.set('proc/sys/kernel/osrelease', RELEASE);
    this.set('proc/cmdline', 'root=/dev/vda1 ro');
    this.set('proc/sys/kernel/ftrace_enabled', '1');
    this.set('sys/kernel/tracing/enabled_functions', '');
    this.set('sys/kernel/debug/kprobes/list', '');
    this.reboot();
    writeFileSync(join(this.sysfs, 'kernel/notes'), buildIdNote(BUILD_ID));
    this.control = {
      insmod: async (path) => this.#insmod(path),
      rmmod: async (name) => this.#rmmod(name),
      write: (path, value) => this.#write(path, value),
      signal: (pid, signal) => {
        this.acts.push(`${signal} ${pid}`);
        if (signal === 'SIGCONT') this.tasks = this.tasks.filter((task) => task.pid !== pid || !task.movesOnSignal);
      },
      log: async (word) => [`kernel log of ${word}`],
      journal: async (fields) => void this.journal.push({ ...fields }),
      enableService: async () => ({ ok: true, message: '' }),
      watch: async () => ({ ok: this.isWatched, message: '' }),
    };
  }

  readonly control: Machine['control'];
  readonly clock: Machine['clock'] = {
    now: () => this.now,
    date: () => new Date(Date.UTC(2026, 0, 1) + this.now),
    sleep: async (ms) => {
      this.now += ms;
      this.#settle();
    },
  };

  /** Writes a file below the machine's folder. */
  set(path: string, content: string | Uint8Array): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    writeFileSync(join(this.folder, path), content);
  }

  /** The kernel forgets everything; the store stays. */
  reboot(): void {
    rmSync(join(this.sysfs, 'kernel/livepatch'), { recursive: true });
    rmSync(join(this.sysfs, 'module'), { recursive: true, force: true });
    rmSync(this.run, { recursive: true, force: true });
    mkdirSync(join(this.sysfs, 'kernel/livepatch'), { recursive: true });
    this.set('proc/sys/kernel/random/boot_id', `boot-${++boots}`);
    this.now += 60_000;
  }

  /** Writes a module file beside the store; gives its path. */
  module(fields: ModuleFields): string {
    const path = join(this.folder, 'files', `${fields.name}.ko`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, moduleBytes(fields));
    return path;
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Starts a module as another tool would. */
  foreign(name: string, functions: readonly string[] = ['other_function']): void {
    this.#addPatch(name, functions);
    this.#attribute(name, 'transition', '0');
  }

  #insmod(path: string): ActResult {
    const refusal = this.refusals.shift();
    const module = moduleFileOf(readFileSync(path), path);
    this.acts.push(`insmod ${module.name}`);
    if (refusal !== undefined)
      return { ok: false, message: `insmod: ERROR: could not insert module ${path}: ${refusal}` };
    const functions = module.manifest?.functions.map((one) => one.name) ?? ['unknown_function'];
    this.#addPatch(module.name, functions, module.manifest?.replace ?? false);
    this.#begin(module.name);
    return { ok: true, message: '' };
  }

  readonly #replacing = new Set<string>();
  #shown = '';

  #addPatch(name: string, functions: readonly string[], replace = false): void {
    if (replace) this.#replacing.add(name);
    for (const one of functions)
      mkdirSync(join(this.sysfs, 'kernel/livepatch', name, 'vmlinux', `${one},1`), { recursive: true });
    this.#attribute(name, 'enabled', '1');
    this.#attribute(name, 'transition', '1');
    this.set(`sys/module/${name}/refcnt`, '1');
  }

  #rmmod(name: string): ActResult {
    this.acts.push(`rmmod ${name}`);
    if (loadedPatch(this, name)?.enabled) return { ok: false, message: `rmmod: ERROR: Module ${name} is in use` };
    rmSync(join(this.sysfs, 'module', name), { recursive: true });
    rmSync(join(this.sysfs, 'kernel/livepatch', name), { recursive: true, force: true });
    return { ok: true, message: '' };
  }

  #write(path: string, value: string): ActResult {
    const [name = '', file = ''] = path.split('/').slice(-2);
    this.acts.push(`${file}=${value} ${name}`);
    const patch = loadedPatch(this, name);
    if (patch === undefined) return { ok: false, message: 'ENOENT' };
    if (file === 'force') {
      if (!patch.transition) return { ok: false, message: 'EINVAL' };
      this.tasks = [];
      this.#settle();
      return { ok: true, message: '' };
    }
    if (patch.enabled === (value === '1')) return { ok: false, message: 'EINVAL: invalid argument' };
    this.#attribute(name, 'enabled', value);
    this.#attribute(name, 'transition', '1');
    // A reversed transition: those that had not moved are where they should be.
    if (patch.transition)
      this.tasks = this.tasks.filter((task) => task.movesAfter !== undefined && task.movesAfter < 0);
    this.#begin(name);
    return { ok: true, message: '' };
  }

  #begin(name: string): void {
    this.#began.set(name, this.now);
    this.#settle();
  }

  /** Moves the tasks whose time has come, and ends transitions without tasks left. */
  #settle(): void {
    for (const [name, began] of this.#began) {
      const patch = loadedPatch(this, name);
      if (patch === undefined || !patch.transition) continue;
      const left = this.tasks.filter(
        ({ movesAfter, unseen }) => unseen !== true && (movesAfter === undefined || this.now - began < movesAfter),
      );
      this.#showTasks(left, patch.enabled);
      if (left.length === 0) this.#end(name, patch.enabled);
    }
  }

  #end(name: string, enabled: boolean): void {
    this.#began.delete(name);
    this.#attribute(name, 'transition', '0');
    if (!enabled) {
      rmSync(join(this.sysfs, 'kernel/livepatch', name), { recursive: true });
      this.set(`sys/module/${name}/refcnt`, '0');
    } else if (this.#replacing.has(name)) {
      for (const other of [...this.#others(name)]) {
        rmSync(join(this.sysfs, 'kernel/livepatch', other), { recursive: true });
        this.set(`sys/module/${other}/refcnt`, '0');
      }
    }
  }

  *#others(name: string): Iterable<string> {
    for (const other of this.names()) if (other !== name) yield other;
  }

  /** Names of the live patches in the kernel. */
  names(): string[] {
    return readdir(join(this.sysfs, 'kernel/livepatch'));
  }

  #showTasks(left: readonly FakeTask[], enabled: boolean): void {
    const side = enabled ? '0' : '1';
    const unseen = this.tasks.filter((task) => task.unseen);
    const key = `${side} ${[...unseen, ...left].map(({ pid }) => pid).join(' ')}`;
    if (key === this.#shown) return;
    this.#shown = key;
    for (const pid of readdir(this.proc)) if (/^\d+$/.test(pid)) rmSync(join(this.proc, pid), { recursive: true });
    const done: FakeTask = { pid: 1, command: 'init' };
    for (const task of [done, ...unseen, ...left]) {
      const { pid, command, state = 'S', kernelThread = false, stack = [] } = task;
      const base = `proc/${pid}/task/${pid}`;
      this.set(`${base}/patch_state`, left.includes(task) ? side : enabled ? '1' : '0');
      this.set(`${base}/stat`, `${pid} (${command}) ${state} 1 1 1 0 -1 ${kernelThread ? 0x200040 : 0x400100} 0 0`);
      this.set(`${base}/stack`, stack.map((name) => `[<0>] ${name}`).join('\n'));
    }
  }

  #attribute(name: string, attribute: string, value: string): void {
    this.set(`sys/kernel/livepatch/${name}/${attribute}`, value);
  }
}

let boots = 0;

function readdir(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
