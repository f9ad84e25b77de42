/** The live view: on a terminal what changes is taken away again, elsewhere there are plain lines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { liveView } from '#kpatch/prove/live-view.ts';
import type { ProofEvent } from '#kpatch/prove/run/event.ts';

const heads = [
  { check: 'stock/loads', boot: 'stock', title: 'the kernel takes the module' },
  { check: 'load/under-load', boot: 'load', title: 'it works while the kernel is busy' },
  { check: 'load/log-clean', boot: 'load', title: 'the kernel log has no complaint' },
];
const begin = ({ check, boot, title }: (typeof heads)[number]): ProofEvent => ({ type: 'begin', check, boot, title });
const start: readonly ProofEvent[] = [
  { type: 'plan', plan: 'full', release: '6.1.0-56-amd64', checks: heads },
  { type: 'boot', boot: 'stock', title: 'the stock kernel' },
  { type: 'boot', boot: 'load', title: 'the stock kernel, busy' },
  { type: 'console', boot: 'load', line: `[    1.0] ${'a long line '.repeat(20)}` },
  { type: 'booted', boot: 'stock', acceleration: 'tcg', ms: 6100 },
  begin(heads[0]!),
];
const end: readonly ProofEvent[] = [
  { type: 'evidence', check: 'stock/loads', text: 'enabled is 1' },
  { type: 'end', check: 'stock/loads', outcome: 'held', ms: 2100 },
  { type: 'booted', boot: 'load', acceleration: 'tcg', ms: 7000 },
  begin(heads[1]!),
  { type: 'end', check: 'load/under-load', outcome: 'failed', reason: 'it does not', ms: 70_000 },
  { type: 'end', check: 'load/log-clean', outcome: 'not run', reason: 'the guest is gone', ms: 0 },
  { type: 'verdict', verdict: 'not proven', reasons: ['it does not'], ms: 80_000 },
];

/** A stream that keeps what is on the screen: lines, and the cursor at the start of the last one. */
function screen(isTTY: boolean): { stream: NodeJS.WriteStream; lines: () => string[] } {
  let lines = [''];
  const write = (text: string): boolean => {
    for (const [part] of text.matchAll(/\x1b\[\d*[A-Za-z]|\n|\r|[^\x1b\n\r]+/g)) {
      const up = /^\x1b\[(\d+)A$/.exec(part)?.[1];
      if (up !== undefined) lines = lines.slice(0, lines.length - Number(up));
      else if (part === '\n') lines.push('');
      else if (!part.startsWith('\x1b') && part !== '\r') lines[lines.length - 1] += part;
      else if (part === '\x1b[J') lines[lines.length - 1] = '';
    }
    return true;
  };
  return { stream: { isTTY, columns: 60, write } as unknown as NodeJS.WriteStream, lines: () => lines };
}

const finished = [
  'plan "full" on 6.1.0-56-amd64: 3 checks',
  '  stock  booted in 6.1 s (software emulation)',
  '✓ stock  the kernel takes the module  (2.1 s)',
  '         enabled is 1',
  '  load   booted in 7.0 s (software emulation)',
  '✗ load   it works while the kernel is busy  (1 min 10 s)',
  '         it does not',
  '',
];

test('on a terminal each guest has its line and the last of its console, and nothing of that stays', (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setInterval'] });
  const { stream, lines } = screen(true);
  const view = liveView(stream);
  for (const event of start) view.onEvent(event);
  t.mock.timers.tick(500);
  const now = lines().slice(2);
  assert.match(now[0]!, /^0 of 3 checks, 0\.[45] s$/);
  assert.match(now[1]!, /^load {3}boot the stock kernel, busy … 0\.[45] s$/);
  assert.match(now[2]!, /^ {7}\| \[ {4}1\.0\] a long .*…$/);
  assert.match(now[3]!, /^stock {2}the kernel takes the module … 0\.[45] s$/);
  assert.ok(now.every((line) => line.length < 60));
  for (const event of end) view.onEvent(event);
  view.close();
  assert.deepEqual(lines(), finished);
});

test('elsewhere there are plain lines, each with the label of its proof', () => {
  const { stream, lines } = screen(false);
  const view = liveView(stream, '6.1');
  for (const event of [...start, ...end]) view.onEvent(event);
  view.close();
  assert.deepEqual(
    lines(),
    finished.map((line) => (line === '' ? '' : `[6.1] ${line}`)),
  );
});
