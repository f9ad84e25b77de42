/** See `platform/common/reseed.ts`. */

import { staticProgram } from '../common/reseed.ts';
import { bytesOfWord } from '../common/words.ts';

const instructions = [
  0xd2800000, // mov x0, #0
  0xd28a40e1, // mov x1, #0x5207
  0xd28003a8, // mov x8, #29 (ioctl)
  0xd4000001, // svc #0
  0xcb0003e0, // neg x0, x0
  0xd2800ba8, // mov x8, #93 (exit)
  0xd4000001, // svc #0
];

/** The program for aarch64. */
export function reseedProgram(): Buffer {
  return staticProgram({ machine: 183, littleEndian: true, code: Buffer.concat(instructions.map(bytesOfWord)) });
}
