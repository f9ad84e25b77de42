/** Machines whose boots are guarded: how they boot, crash and are reset. */
import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { silentReporter } from '#kpatch/base/report.ts';
import { type BootResult, loadAll } from '#kpatch/host/boot/boot.ts';
import { installModule } from '#kpatch/host/store/install.ts';
import { FakeMachine } from './fake.ts';

export const report = silentReporter();
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const boot = (machine: FakeMachine): Promise<BootResult> => loadAll(machine, { guarded: true }, report);

/** Boots that end by a reset within minutes, which leaves no trace. Gives what the last one blocked. */
export async function lose(machine: FakeMachine, times: number): Promise<readonly string[]> {
  let blocked: readonly string[] = [];
  for (let i = 0; i < times; i++) {
    machine.reboot();
    ({ blocked } = await boot(machine));
  }
  return blocked;
}

/** What the kernel leaves in pstore when it dies. */
export function panic(machine: FakeMachine, module: string): void {
  const text = `<4>Oops: 0002 [#1] PREEMPT SMP
<4>RIP: 0010:meminfo_proc_show+0x10/0x20 [${module}]
<4>Modules linked in: other_module(K) ${module}(K)
<4> seq_read_iter+0x11a/0x4b0
`;
  machine.set('pstore/dmesg-efi-1', text);
  const at = machine.clock.date();
  utimesSync(join(machine.folder, 'pstore/dmesg-efi-1'), at, at);
}

export async function withPatch(): Promise<FakeMachine> {
  const machine = new FakeMachine();
  await installModule(machine, machine.module({ name: 'one' }), {}, report);
  return machine;
}
