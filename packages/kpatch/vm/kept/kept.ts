/**
 * Kept guests: a kernel is booted once, saved before anything of a proof is in it, and resumed from then on. A kept guest
 * is bound to the kernel image, QEMU's build, the machine, the command line and its first filesystem (busybox, agent,
 * driver). The kernel's addresses (KASLR) are frozen in each, so several are kept and one is drawn.
 *
 * What a proof needs is sent after the guest has been resumed, because it differs from proof to proof.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { sha256 } from '../../base/digest.ts';
import { KpatchError } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import type { Platform } from '../../platform/platform.ts';
import { initScript } from '../agent/agent.ts';
import { Console } from '../agent/console.ts';
import { type BootOptions, boot, bootOn, type Ground, machineOf, prepared } from '../boot.ts';
import { deliver, deliveryDisk, deliveryDrivers } from '../files/delivery.ts';
import { fileArchive, type GuestFile, initramfs } from '../files/initramfs.ts';
import { moduleFiles } from '../files/modules.ts';
import { shareDevice } from '../files/share.ts';
import { Guest } from '../guest.ts';
import { machineFor } from '../qemu/emulator.ts';
import { argumentsOf, type Machine, qemuBuild, startQemu } from '../qemu/qemu.ts';
import { KeptFileUnusable, keptFolder, keptWithKey, openKept, removeKept, touchKept } from './kept-file.ts';
import { saveGuest } from './save.ts';

const RESUME_DEADLINE_MS = 20_000;

export interface Keeping {
  /** Where kept guests are; made if missing. */
  readonly folder: string;
  /** `.../lib/modules/RELEASE` of the kernel, for the driver that brings files in; without it they come slowly. */
  readonly drivers?: string;
  /** The kernel's release, for the file's name. */
  readonly label: string;
  /** A folder of this machine that the guest can mount, read-only, see `shareDevice`. */
  readonly share?: string;
  /** Boots even where a guest is kept. The booted one is kept too. */
  readonly cold?: boolean;
  /** Told why a kept guest was not used, or none could be kept. */
  readonly onNote?: (text: string) => void;
}

/**
 * A guest as `boot` gives it: resumed where one is kept (`guest.keptFrom` names it), else booted and kept for the next
 * time. Under KVM, and on machines where saving was not tried, it is always booted. `init` and `devices` cannot be used.
 * Errors: those of `boot`.
 */
export async function bootKept(options: BootOptions, keeping: Keeping): Promise<Guest> {
  const platform = machineFor(options.image);
  const { emulator } = platform;
  if (emulator.keep === undefined) return boot(options);
  const { files = {}, modules, ...rest } = options;
  const brought = { ...(modules === undefined ? {} : await moduleFiles(modules)), ...files };
  const archive = fileArchive(brought);
  const first = await firstFilesystem(platform, keeping.drivers);
  const guest = await prepared(rest, first, async (ground) => {
    const shared = keeping.share === undefined ? [] : shareDevice(keeping.share);
    const own = {
      ...rest,
      devices: [...(emulator.keep?.generationId ?? []), ...deliveryDisk(ground.folder, archive), ...shared],
    };
    if (ground.acceleration === 'kvm') return bootOn(own, ground);
    const machine = machineOf(own, ground.initramfs, ground.acceleration);
    const key = await keyOf(machine, first, [ground.folder, ...(keeping.share === undefined ? [] : [keeping.share])]);
    return (await resumeOne(own, ground, key, keeping)) ?? bootAndKeep(own, ground, key, keeping);
  });
  try {
    await deliver(guest, archive, modules?.load ?? [], emulator);
  } catch (error) {
    await guest.stop();
    throw error;
  }
  return guest;
}

async function firstFilesystem(platform: Platform, drivers: string | undefined): Promise<Buffer> {
  const { emulator } = platform;
  const files: Record<string, GuestFile> = { ...(await deliveryDrivers(drivers)) };
  if (emulator.keep !== undefined) files['bin/reseed'] = { content: emulator.keep.reseedProgram(), mode: 0o755 };
  return initramfs(files, initScript([], emulator), platform);
}

/** Sixteen hexadecimal digits for everything that a kept guest depends on. */
async function keyOf(machine: Machine, first: Uint8Array, folders: readonly string[]): Promise<string> {
  const facts = {
    qemu: await qemuBuild(machine.emulator),
    image: sha256(readBytes(machine.image)),
    first: sha256(first),
    // The paths of files differ each time; what is in them is above, and the disk is not read before the guest is kept.
    arguments: argumentsOf(machine).map((word) =>
      [...folders, machine.image].reduce((text, path) => text.replaceAll(path, ''), word),
    ),
  };
  return sha256(JSON.stringify(facts)).slice(0, 16);
}

async function bootAndKeep(options: BootOptions, ground: Ground, key: string, keeping: Keeping): Promise<Guest> {
  const guest = await bootOn(options, ground);
  try {
    keptFolder(keeping.folder);
    await saveGuest(guest, ground.folder, { folder: keeping.folder, label: keeping.label, key });
  } catch (error) {
    // A guest that is gone cannot be used either; anything else only means that the next proof boots again.
    if (error instanceof KpatchError && error.code !== 'guest-monitor') throw error;
    keeping.onNote?.(`the guest cannot be kept for the next proof: ${(error as Error).message}`);
  }
  return guest;
}

/** Tries those that are kept, in random order; undefined if none can be used. Those that cannot are removed. */
async function resumeOne(
  options: BootOptions,
  ground: Ground,
  key: string,
  { folder, cold = false, onNote }: Keeping,
): Promise<Guest | undefined> {
  if (cold) return undefined;
  try {
    keptFolder(folder);
  } catch (error) {
    onNote?.(`kept guests are not used: ${(error as Error).message}`);
    return undefined;
  }
  const paths = keptWithKey(folder, key);
  while (paths.length > 0) {
    const [path] = paths.splice(randomInt(paths.length), 1);
    try {
      return await resume(path!, options, ground, key);
    } catch (error) {
      const unusable =
        error instanceof KeptFileUnusable || (error instanceof KpatchError && error.code !== 'interrupted');
      if (!unusable) throw error;
      onNote?.(`the kept guest ${path} was removed and will be created again: ${error.message}`);
      removeKept(path!);
    }
  }
  return undefined;
}

async function resume(path: string, options: BootOptions, ground: Ground, key: string): Promise<Guest> {
  const start = performance.now();
  const kept = openKept(path, key);
  try {
    const machine = { ...machineOf(options, ground.initramfs, ground.acceleration), resumeFrom: kept.fd };
    const qemu = await startQemu(machine);
    ground.place.occupy(qemu.pid);
    const console = new Console(options.onConsole);
    console.recall(kept.header.console);
    let taken = false;
    const dispose = (): void => {
      if (taken) ground.dispose();
    };
    const guest = new Guest({ qemu, console, acceleration: ground.acceleration, dispose, listening: true });
    try {
      const running = qemu.monitor.running();
      await guest.whileAlive(Promise.all([running, kept.verify()]), 'resume', RESUME_DEADLINE_MS, options.signal);
      await wakeUp(guest);
    } catch (error) {
      await guest.stop();
      throw error;
    }
    taken = true;
    touchKept(path);
    guest.keptFrom = kept.sha256;
    guest.bootMs = performance.now() - start;
    return guest;
  } finally {
    kept.close();
  }
}

/** Sets the clock, and has the kernel draw its random numbers from new entropy: both are those of the time of saving. */
async function wakeUp(guest: Guest): Promise<void> {
  const entropy = randomBytes(64).toString('hex');
  await guest.runOk(
    `date -u -s @${Math.round(Date.now() / 1000)} >/dev/null && echo ${entropy} >/dev/urandom && reseed </dev/urandom`,
    { step: 'set the clock and reseed' },
  );
}
