import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedBytes, Console, readable } from '#kpatch/vm/agent/console.ts';

test('what a guest prints is kept within bounds: its start and its end', () => {
  const kept = new BoundedBytes(400);
  for (let i = 0; i < 1000; i++) kept.add(Buffer.from(`${String(i).padStart(9)}\n`));
  const text = kept.bytes().toString();
  assert.equal(kept.total, 10_000);
  assert.match(text, /^ {8}0\n/);
  assert.match(text, /\n {6}999\n$/);
  assert.match(text, /\[\.\.\. 9600 bytes omitted \.\.\.\]/);
  assert.ok(text.length < 450);
});

test('garbage becomes text without control characters or escape sequences', () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  assert.match(readable(all), /^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$/);
  assert.equal(readable(Buffer.from('\x1b[31mred\x1b[0m \x1b]0;title\x07x\r\ny')), 'red x\ny');
  assert.ok(
    readable(Buffer.alloc(5000, 'a'))
      .split('\n')
      .every((line) => line.length <= 1000),
  );
});

test('a panic is seen also when it comes in pieces, and lines that never end do not hide it', () => {
  const lines: string[] = [];
  const console = new Console((line) => lines.push(line));
  console.add(Buffer.alloc(10_000, 0xff));
  console.add(Buffer.from('\n[    1.0] Kernel pan'));
  assert.equal(console.panic, undefined);
  console.add(Buffer.from('ic - not syncing: VFS: no root\r\nmore'));
  assert.equal(console.panic, 'VFS: no root');
  assert.equal(lines.at(-1), '[    1.0] Kernel panic - not syncing: VFS: no root');
  assert.match(console.tail(1), /^more$/);
});
