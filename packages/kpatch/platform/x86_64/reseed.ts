/** See `platform/common/reseed.ts`. */
import { staticProgram } from '../common/reseed.ts';

/** xor edi,edi; mov esi,0x5207; mov eax,16; syscall; mov edi,eax; neg edi; mov eax,60; syscall */
const code = Buffer.from('31ffbe07520000b8100000000f0589c7f7dfb83c0000000f05', 'hex');

/** The program for x86-64. */
export function reseedProgram(): Buffer {
  return staticProgram({ machine: 62, littleEndian: true, code });
}
