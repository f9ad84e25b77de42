import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { lateModules } from '#kpatch/prove/checks/late-modules.ts';
import { logClean } from '#kpatch/prove/checks/log-clean.ts';
import { standIn } from '#kpatch/prove/input/stand-in.ts';
import { quickPlan } from '#kpatch/prove/plans.ts';
import { normalMessage } from '#kpatch/prove/run/guest/stock-log.ts';
import { stockKernel } from '../vm/stock-kernel.ts';
import { proveModule } from './prove-module.ts';

test('a stand-in is the module without its init and exit functions, and without its signature', async () => {
  const { modules } = await stockKernel();
  const bytes = readFileSync(join(modules, 'kernel/drivers/edac/amd64_edac.ko'));
  assert.match(bytes.subarray(-28).toString('latin1'), /^~Module signature appended~\n$/);
  const copy = standIn(bytes, 'amd64_edac.ko');
  assert.ok(copy !== undefined && copy.length < bytes.length);
  assert.doesNotMatch(Buffer.from(copy.subarray(-100)).toString('latin1'), /Module signature/);
  const elf = new ElfFile(copy, 'copy');
  const { offset, size } = elf.sections.find(({ name }) => name === '.rela.gnu.linkonce.this_module')!;
  for (let at = offset; at < offset + size; at += 24)
    assert.equal(Buffer.from(copy).readBigUInt64LE(at + 8), 0n, 'a pointer of struct module is still relocated');
  assert.equal(standIn(readFileSync('/bin/true'), 'true'), undefined, 'a program is not a module');
});

test('messages are the same whatever their time, process and addresses', () => {
  const first = '[   12.345678] foo: PID: 17 at ffffffff81234567 failed (-2)';
  assert.equal(normalMessage(first), normalMessage('[    3.000001] foo: PID: 4 at ffffffffa1b2c3d4 failed (-2)'));
  assert.notEqual(normalMessage(first), normalMessage(first.replace('-2', '-12')));
});

test('a driver without its hardware is an exception by name, everything else is proven; what the stock kernel prints is no complaint', async () => {
  const [stock] = quickPlan.boots;
  const checks = stock!.checks.flatMap((check) => (check === logClean ? [lateModules, logClean] : [check]));
  const plan = { ...quickPlan, statics: [], boots: [{ ...stock!, checks }] };
  const { result, failed } = await proveModule(
    {
      name: 'cumulative',
      code: `static int new_show(struct seq_file *m, void *v) { seq_puts(m, "patched\\n"); return 0; }
static int new_region(void *wiphy) { return 0; }
static void new_select(void *pvt, unsigned char dct) { }`,
      functions: {
        vmlinux: { cmdline_proc_show: 'new_show' },
        amd64_edac: { f15h_select_dct: 'new_select' },
        // Asks for regulatory.db, which no guest has, when it is loaded.
        cfg80211: { reg_get_dfs_region: 'new_region' },
      },
    },
    { plan, test: 'grep patched /proc/cmdline' },
  );
  assert.deepEqual(failed, {});
  assert.equal(result.verdict, 'proven except amd64_edac');
  assert.ok(result.checks.every(({ outcome }) => outcome === 'held'));
  const texts = result.checks.flatMap(({ evidence }) => evidence.map(({ text }) => text)).join('\n');
  assert.match(
    texts,
    /amd64_edac cannot be loaded without its hardware \(.*\): a copy without its init function is used instead/,
  );
  assert.match(texts, /amd64_edac, loaded after the patch: its functions are redirected/);
  assert.match(texts, /cfg80211, removed and loaded again/);
});
