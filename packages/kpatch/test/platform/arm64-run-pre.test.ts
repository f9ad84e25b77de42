/** What the linker makes of relocated instructions of aarch64. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runPre } from '#kpatch/platform/arm64/run-pre.ts';
import { bytesOfWord } from '#kpatch/platform/common/words.ts';

const ADR_PREL_PG_HI21 = 275;

/** ADR or ADRP to x0 with this value of the field. */
function addressWord(value: number, pages: boolean): Uint8Array {
  const word = (pages ? 0x90000000 : 0x10000000) | ((value & 3) << 29) | (((value >> 2) & 0x7ffff) << 5);
  return bytesOfWord(word >>> 0);
}

test('ADRP and the ADR that the linker makes of it at the end of a page have the same distance of pages', () => {
  const field = runPre.field(ADR_PREL_PG_HI21)!;
  const place = 0xffff_8000_8000_1ff8n;
  assert.equal(field.value(addressWord(0x11, true), 0, place), 0x11000n);
  assert.equal(field.value(addressWord(0x12000 - 0x1ff8, false), 0, place), 0x11000n);
  assert.equal(field.value(addressWord(-0x11, true), 0, place), -0x11000n);
  // Another page is another distance.
  assert.notEqual(field.value(addressWord(0x13000 - 0x1ff8, false), 0, place), 0x11000n);
  // All other bits of the two instructions, the register among them, are compared.
  assert.deepEqual([...field.mask!], [...bytesOfWord(0xe0ffffe0)]);
});
