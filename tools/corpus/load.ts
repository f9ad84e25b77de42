/** Loads and unloads modules in a guest that runs the stock kernel. */
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { renderError } from '#kpatch/base/errors/render.ts';
import type { Reporter } from '#kpatch/base/report.ts';
import type { TargetKernel } from '#kpatch/kernel/target.ts';
import { boot } from '#kpatch/vm/boot.ts';
import type { GuestFile } from '#kpatch/vm/files/initramfs.ts';
import type { Guest } from '#kpatch/vm/guest.ts';
import type { Outcome } from './attempt.ts';

/** Loads each module, waits for its transition, takes it out again; what it says when something is not as it should be. */
async function tryModule(guest: Guest, name: string, objects: readonly string[]): Promise<string> {
  const modules = objects.filter((object) => object !== 'vmlinux');
  const path = `/sys/kernel/livepatch/${name}`;
  const { output } = await guest.run(
    `${modules.map((module) => `modprobe ${module} 2>/dev/null || echo "(${module} does not load here)"`).join('\n')}
dmesg -c >/dev/null
insmod /corpus/${name}.ko || { echo FAILED insmod; dmesg | tail -5; exit; }
n=0; while [ "$(cat ${path}/transition)" != 0 ] && [ $n -lt 120 ]; do sleep 0.25; n=$((n+1)); done
[ "$(cat ${path}/transition)" = 0 ] && [ "$(cat ${path}/enabled)" = 1 ] || echo FAILED transition
echo 0 > ${path}/enabled || echo FAILED disable
n=0; while [ -d ${path} ] && [ $n -lt 120 ]; do sleep 0.25; n=$((n+1)); done
rmmod ${name} || echo FAILED rmmod
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched|Call Trace|refcount|livepatch:.*(failed|error)' && { echo FAILED log; dmesg | tail -40; }
true`,
    { step: `load ${name}`, deadlineMs: 180_000 },
  );
  return output.includes('FAILED') ? output : '';
}

/** Emulated processors can trip over the kernel's own patching of its code while it boots, before any module is there. */
async function bootStock(
  report: Reporter,
  { paths }: TargetKernel,
  files: Readonly<Record<string, GuestFile>>,
  modules: readonly string[],
): Promise<Guest> {
  for (let attempt = 1; ; attempt++) {
    try {
      const more = paths.modules === undefined ? {} : { modules: { folder: paths.modules, optional: modules } };
      return await boot({ image: paths.image, files, memoryMiB: 2048, cpus: 1, ...more });
    } catch (error) {
      if (attempt === 3 || !(error instanceof KpatchError)) throw error;
      report.warn(`the kernel did not boot, with no module loaded (attempt ${attempt}): ${error.message}`);
    }
  }
}

/** Loads the module of each outcome that has one; what is not as it should be, by outcome. */
export async function loadAll(
  report: Reporter,
  kernel: TargetKernel,
  outcomes: readonly Outcome[],
): Promise<Map<Outcome, string>> {
  const built = outcomes.filter((outcome) => outcome.build !== undefined);
  const failures = new Map<Outcome, string>();
  const fails = (outcome: Outcome, said: string): void => {
    failures.set(outcome, said);
    report.warn(`${outcome.build!.name} (${outcome.fix.name}) failed:\n${said}`);
  };
  let rest = built;
  while (rest.length > 0) {
    const files: Record<string, GuestFile> = {};
    for (const { build: result } of rest) files[`/corpus/${result!.name}.ko`] = result!.module;
    const objects = [...new Set(rest.flatMap(({ build: result }) => result!.functions.map(({ object }) => object)))];
    const names = objects.filter((object) => object !== 'vmlinux');
    const guest = await bootStock(report, kernel, files, names);
    let done = 0;
    try {
      for (const outcome of rest) {
        const { name, functions } = outcome.build!;
        report.note(`load ${name} (${outcome.fix.name})`);
        const said = await tryModule(guest, name, [...new Set(functions.map(({ object }) => object))]);
        if (said !== '') fails(outcome, said);
        done++;
      }
    } catch (error) {
      fails(rest[done]!, error instanceof KpatchError ? renderError(error) : String(error));
      done++;
    } finally {
      await guest.stop();
    }
    rest = rest.slice(done);
  }
  return failures;
}
