/** The build-id of a kernel image without section headers, found by the symbols around its notes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildIdOf } from '#kpatch/kernel/build-id.ts';
import { KernelImage } from '#kpatch/kernel/image.ts';
import { Kallsyms } from '#kpatch/kernel/kallsyms/kallsyms.ts';
import { HEADER, leastImage, loaded } from './least-image.ts';

function note(name: string, type: number, description: string): Buffer {
  const bytes = Buffer.from(description, 'hex');
  const head = Buffer.alloc(12);
  for (const [index, value] of [name.length + 1, bytes.length, type].entries()) head.writeUInt32LE(value, 4 * index);
  const filled = (part: Buffer): Buffer => Buffer.concat([part, Buffer.alloc(-part.length & 3)]);
  return Buffer.concat([head, filled(Buffer.from(`${name}\0`)), filled(bytes)]);
}

const id = '00112233445566778899aabbccddeeff00112233';

function found(notes: Buffer, { stop = notes.length, named = true } = {}): string | undefined {
  const image = new KernelImage(leastImage(notes), 'Image');
  const start = loaded + BigInt(HEADER);
  const names = named ? ['__start_notes', '__stop_notes'] : ['one', 'two'];
  return buildIdOf(image, new Kallsyms(names, 'RR', BigUint64Array.of(start, start + BigInt(stop))));
}

test('it is among the other notes', () => {
  assert.equal(found(Buffer.concat([note('Linux', 257, '00'), note('GNU', 3, id), note('Xen', 1, '0102')])), id);
});

test('without the symbols, without such a note, or with damaged notes there is none', () => {
  const notes = note('GNU', 3, id);
  assert.equal(found(notes, { named: false }), undefined);
  assert.equal(found(note('GNU', 4, id)), undefined);
  assert.equal(found(notes, { stop: notes.length - 8 }), undefined);
  assert.equal(found(notes, { stop: 0 }), undefined);
  assert.equal(found(Buffer.alloc(64, 0xff)), undefined);
});
