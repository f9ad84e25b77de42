/** Which virtual machine boots a kernel image. */
import { readBytes } from '../../base/files.ts';
import type { Emulator } from '../../platform/emulator.ts';
import { platformHere, platformOfImage } from '../../platform/registry.ts';

/** That of the image's machine, or of this one where the file does not show its machine. Errors: `file-unreadable`, `platform-unknown`. */
export function emulatorFor(image: string): Emulator {
  return (platformOfImage(readBytes(image)) ?? platformHere()).emulator;
}
