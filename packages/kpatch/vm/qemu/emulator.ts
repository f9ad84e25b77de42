/** Which virtual machine boots a kernel image. */
import { readBytes } from '../../base/files.ts';
import type { Emulator } from '../../platform/common/emulator.ts';
import type { Platform } from '../../platform/platform.ts';
import { platformHere, platformOfImage } from '../../platform/registry.ts';

/** The image's machine, or this one where the file does not show its machine. Errors: `file-unreadable`, `platform-unknown`. */
export function machineFor(image: string): Platform {
  return platformOfImage(readBytes(image)) ?? platformHere();
}

/** The emulator of `machineFor`. Errors: as there. */
export function emulatorFor(image: string): Emulator {
  return machineFor(image).emulator;
}
