/**
 * Brings files into a running guest. Small ones go through the agent's serial port; larger ones are on a read-only disk
 * that the guest has from the start but whose driver is loaded only now, and removed afterwards, so that it does not be in
 * the way of what is tried in the guest. A kernel without that driver gets everything through the serial port.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { writeError } from '../../base/files.ts';
import type { Emulator } from '../../platform/common/emulator.ts';
import { giveFolder } from '../../sandbox/user.ts';
import { AGENT_FOLDER } from '../agent/agent.ts';
import type { Guest } from '../guest.ts';
import type { GuestFile } from './initramfs.ts';
import { moduleFiles } from './modules.ts';

/** Up to here the serial port is faster than loading the driver, bytes. */
const SERIAL_LIMIT = 96 * 1024;

const SECTOR = 512;
const DISK = '/dev/vda';
const DELIVERY_DEADLINE_MS = 120_000;

/** The driver's modules, in the order in which they can be removed. */
const drivers = ['virtio_blk', 'virtio_pci', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio', 'virtio_ring'];

/** The driver for a guest's first filesystem; `modules` is `.../lib/modules/RELEASE`. Errors: as `moduleFiles`. */
export async function deliveryDrivers(modules: string | undefined): Promise<Record<string, GuestFile>> {
  if (modules === undefined) return {};
  return moduleFiles({ folder: modules, optional: ['virtio_pci', 'virtio_blk'] });
}

/**
 * Writes the archive where the guest's disk has it, and gives QEMU's arguments for the disk. Errors: `file-unwritable`,
 * `disk-full`.
 */
export function deliveryDisk(folder: string, archive: Uint8Array): string[] {
  const path = join(folder, 'delivery');
  try {
    const fd = openSync(path, 'wx', 0o600);
    try {
      for (let at = 0; at < archive.length; ) at += writeSync(fd, archive, at);
      writeSync(fd, Buffer.alloc(SECTOR + ((SECTOR - (archive.length % SECTOR)) % SECTOR)));
    } finally {
      closeSync(fd);
    }
    giveFolder(path);
  } catch (error) {
    throw writeError(path, error);
  }
  const drive = `file=${path.replaceAll(',', ',,')},format=raw,if=none,id=delivery,readonly=on`;
  return ['-drive', drive, '-device', 'virtio-blk-pci,drive=delivery'];
}

/** Unpacks the archive in the guest and loads the modules named. Errors: as `Guest.run`, `guest-step-failed`. */
export async function deliver(
  guest: Guest,
  archive: Uint8Array,
  load: readonly string[],
  { serialBytes = SERIAL_LIMIT }: Pick<Emulator, 'serialBytes'>,
): Promise<void> {
  const unpack = 'cpio -idmu 2>/dev/null';
  const step = 'bring the files in';
  const bySerial = async (): Promise<void> => {
    const path = `${AGENT_FOLDER}/files`;
    await guest.put(path, archive, 0o600);
    await guest.runOk(`cd / && ${unpack} <${path} && rm ${path}`, { step, deadlineMs: DELIVERY_DEADLINE_MS });
  };
  if (archive.length <= serialBytes) await bySerial();
  else {
    const script = `for module in virtio_pci virtio_blk; do modprobe $module 2>/dev/null; done
n=0; until [ -b ${DISK} ]; do n=$((n + 1)); [ $n -gt 20 ] && exit 77; sleep 0.05; done
cd / && ${unpack} <${DISK} || exit 1
for module in ${drivers.join(' ')}; do rmmod $module 2>/dev/null; done; true`;
    const { status, output } = await guest.run(script, { step, deadlineMs: DELIVERY_DEADLINE_MS });
    if (status === 77) await bySerial();
    else if (status !== 0) throw failure('guest-step-failed', { step, status }, { detail: output });
  }
  for (const module of load) await guest.run(`modprobe ${module}`);
}
