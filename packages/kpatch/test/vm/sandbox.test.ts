/** The sandbox on a machine that systemd runs: each sandbox is a scope with limits, and the sandbox holds there too. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootSystem } from '#kpatch/vm/system.ts';
import { stockKernel } from './stock-kernel.ts';

const root = join(import.meta.dirname, '../../../..');
const script = `
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { sandboxed, sandboxedSync } from '${root}/packages/kpatch/sandbox/sandbox.ts';
const running = sandboxed('sh', ['-c', 'echo begun; sleep 20'], { view: {}, onLine: look });
function look() {
  const [unit] = execFileSync('systemctl', ['list-units', '--type=scope', '--plain', '--no-legend']).toString().match(/^run-\\S+\\.scope/m) ?? [];
  const shown = execFileSync('systemctl', ['show', unit, '-p', 'MemoryMax,MemorySwapMax,TasksMax']).toString();
  console.log(shown.trim());
  console.log('mem', readFileSync('/proc/meminfo', 'utf8').match(/MemTotal: *(\\d+)/)[1]);
}
const { status } = await running;
console.log('status', status);
console.log('sync', sandboxedSync('id', ['-u'], { view: {} }).stdout.trim());
`;

test('each sandbox is a scope with limits on its memory and its tasks', async () => {
  const { image, modules } = await stockKernel();
  const guest = await bootSystem({ image, modules, memoryMiB: 1024, files: { '/root/scope.mjs': script } });
  try {
    const node = `${root}/node_modules/node/bin/node --disable-warning=ExperimentalWarning`;
    const { output } = await guest.runOk(`${node} /root/scope.mjs 2>&1`, { deadlineMs: 300_000 });
    assert.match(output, /^MemorySwapMax=0$/m, output);
    assert.match(output, /^TasksMax=8192$/m);
    const limit = Number(/^MemoryMax=(\d+)$/m.exec(output)?.[1]);
    const total = Number(/^mem (\d+)$/m.exec(output)?.[1]) * 1024;
    assert.ok(Math.abs(limit / total - 0.8) < 0.02, `${limit} of ${total}`);
    assert.match(output, /^status 0$/m);
    assert.match(output, /^sync (?:605[78]\d|60[6-9]\d\d|61[01]\d\d)$/m);
  } finally {
    await guest.stop();
  }
});
