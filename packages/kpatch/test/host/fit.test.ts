import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ErrorCode } from '#kpatch/base/errors/catalogue.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { loadAll } from '#kpatch/host/boot/boot.ts';
import { checkFit, type FitOptions, requireFit } from '#kpatch/host/fit.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { moduleFileOf, readModuleFile } from '#kpatch/host/store/module-file.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, type ModuleFields, moduleBytes, VERMAGIC } from './fake.ts';

const report = silentReporter();

async function refused(
  machine: FakeMachine,
  code: ErrorCode,
  fields: ModuleFields,
  options: FitOptions = {},
): Promise<void> {
  const module = moduleFileOf(moduleBytes(fields), 'x.ko');
  await provokes(code, () => requireFit(checkFit(machine, module, options)));
}
const warnings = (machine: FakeMachine, fields: ModuleFields): string[] => {
  const findings = checkFit(machine, moduleFileOf(moduleBytes(fields), 'x.ko'), { vermagic: VERMAGIC });
  return findings.filter(({ level }) => level === 'warning').map(({ text }) => text);
};

test('a patch for this kernel fits', () => {
  using machine = new FakeMachine();
  const findings = checkFit(machine, moduleFileOf(moduleBytes({ name: 'one' }), 'one.ko'), { vermagic: VERMAGIC });
  assert.deepEqual(
    findings.filter(({ level }) => level !== 'fits'),
    [],
  );
  requireFit(findings);
});

test('each thing that keeps a patch from fitting is refused before anything is loaded', async () => {
  using machine = new FakeMachine();
  await refused(machine, 'release-mismatch', { name: 'a', vermagic: '6.1.0-55-amd64 SMP', manifest: false });
  await refused(machine, 'release-mismatch', { name: 'a', manifest: { release: '6.1.0-55-amd64' } });
  await refused(machine, 'vermagic-mismatch', { name: 'a' }, { vermagic: `${VERMAGIC} other` });
  await refused(machine, 'build-id-mismatch', { name: 'a', manifest: { buildId: 'ff' } });
  machine.set('sys/module/module/parameters/sig_enforce', 'Y');
  await refused(machine, 'signature-required', { name: 'a' });
  machine.set('sys/module/module/parameters/sig_enforce', 'N');
  machine.set('sys/kernel/security/lockdown', 'none [integrity] confidentiality');
  await refused(machine, 'signature-required', { name: 'a' });
  machine.set('sys/kernel/security/lockdown', '[none] integrity confidentiality');
  machine.set('proc/sys/kernel/modules_disabled', '1');
  await refused(machine, 'modules-disabled', { name: 'a' });
  machine.set('proc/sys/kernel/modules_disabled', '0');
  machine.set('proc/sys/kernel/ftrace_enabled', '0');
  await refused(machine, 'ftrace-disabled', { name: 'a' });
  machine.set('proc/sys/kernel/ftrace_enabled', '1');
  machine.isRoot = false;
  await refused(machine, 'not-root', { name: 'a' });
  machine.isRoot = true;
  requireFit(checkFit(machine, moduleFileOf(moduleBytes({ name: 'a' }), 'a.ko'), {}));
  rmSync(join(machine.sysfs, 'kernel/livepatch'), { recursive: true });
  await refused(machine, 'no-livepatch-support', { name: 'a' });
  assert.deepEqual(machine.acts, []);
});

test('other users of the same functions: one that redirects them is refused, others are named', async () => {
  using machine = new FakeMachine();
  machine.set(
    'sys/kernel/tracing/enabled_functions',
    'schedule (1)  I  \ttramp: x\nmeminfo_proc_show (1) R I  \ttramp: 0xffff (klp_ftrace_handler)\n',
  );
  await refused(machine, 'function-in-use', { name: 'a' });
  machine.set('sys/kernel/tracing/enabled_functions', 'meminfo_proc_show (1)    D\tdirect-->bpf\n');
  assert.match(warnings(machine, { name: 'a' }).join(), /BPF program/);
  machine.set('sys/kernel/tracing/enabled_functions', '');
  machine.set(
    'sys/kernel/debug/kprobes/list',
    'ffffffff81  k  meminfo_proc_show+0x0    [FTRACE]\n0  r  other+0x5  mod \n',
  );
  assert.match(warnings(machine, { name: 'a' }).join(), /probe inside meminfo_proc_show/);
});

test('a function that a live patch redirects already is no other user', async () => {
  using machine = new FakeMachine();
  await loadModule(machine, readModuleFile(machine.module({ name: 'one' })), {}, report);
  machine.set('sys/kernel/tracing/enabled_functions', 'meminfo_proc_show (1)   I  \ttramp: x (klp_ftrace_handler)\n');
  requireFit(checkFit(machine, moduleFileOf(moduleBytes({ name: 'two', manifest: { version: 2 } }), 'x.ko')));
});

test('what is loaded decides the order: newer, other line, unknown, states', async () => {
  using machine = new FakeMachine();
  const states = [{ id: 7, version: 3 }];
  const manifest = { version: 5, line: 'main', states };
  await loadModule(machine, readModuleFile(machine.module({ name: 'five', manifest })), {}, report);
  await refused(machine, 'newer-loaded', { name: 'a', manifest: { ...manifest, version: 4 } });
  await refused(machine, 'other-line', { name: 'a', manifest: { ...manifest, line: 'debug' } });
  await refused(machine, 'state-incompatible', { name: 'a', manifest: { ...manifest, version: 6, states: [] } });
  await refused(machine, 'state-incompatible', {
    name: 'a',
    manifest: { version: 6, line: 'main', states: [{ id: 7, version: 2 }] },
  });
  assert.match(warnings(machine, { name: 'a', manifest: { ...manifest, replace: false } }).join(), /on top of five/);
  machine.foreign('by_hand');
  await refused(machine, 'replaces-unknown', { name: 'a', manifest: { ...manifest, version: 6 } });
  const allowed = moduleFileOf(moduleBytes({ name: 'a', manifest: { ...manifest, version: 4 } }), 'x.ko');
  requireFit(checkFit(machine, allowed, { downgrade: true }));
});

test('several refusals come together', async () => {
  using machine = new FakeMachine();
  machine.set('proc/sys/kernel/ftrace_enabled', '0');
  machine.set('proc/sys/kernel/modules_disabled', '1');
  const module = moduleFileOf(moduleBytes({ name: 'a' }), 'x.ko');
  const error = await provokes('modules-disabled', () => requireFit(checkFit(machine, module)));
  assert.match(error.detail ?? '', /kernel\.ftrace_enabled/);
});

test('files that are no patch modules', async () => {
  using machine = new FakeMachine();
  const path = join(machine.folder, 'x.ko');
  const read = (bytes: Uint8Array): (() => unknown) => {
    return () => {
      writeFileSync(path, bytes);
      return readModuleFile(path);
    };
  };
  await provokes('module-not-livepatch', read(moduleBytes({ name: 'a', livepatch: false })));
  await provokes('module-not-livepatch', read(moduleBytes({ name: '../a' })));
  await provokes('module-compressed', read(Buffer.from('fd377a585a0000', 'hex')));
  await provokes('elf-not-elf', read(Buffer.from('')));
  await provokes('manifest-damaged', read(moduleBytes({ name: 'a', manifest: { version: -1 } })));
  await provokes('file-unreadable', () => readModuleFile(join(machine.folder, 'none.ko')));
  const good = moduleBytes({ name: 'a' });
  for (let length = 0; length < good.length; length += 13) {
    await assert.rejects(async () => read(good.subarray(0, length))(), { name: 'KpatchError' });
  }
});

test('a system below --root does not run', async () => {
  using machine = new FakeMachine();
  const image = thisMachine(machine.folder);
  await provokes('machine-offline', () => loadAll(image, {}, report));
});
