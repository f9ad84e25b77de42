/**
 * `make demo`: the newest stock kernel, a one-line fix, a live patch; then that very kernel in a virtual machine, before,
 * with and after it. Ends with status 0 only if every step was seen in the guest.
 * `--allow-expired` accepts expired package lists of the kernel's distribution.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { renderError } from '#kpatch/base/errors/render.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { consoleReporter } from '#kpatch/base/report.ts';
import { type BuildResult, build } from '#kpatch/builder/build.ts';
import { boot } from '#kpatch/vm/boot.ts';
import type { Guest } from '#kpatch/vm/guest.ts';

const root = join(import.meta.dirname, '..');
const report = consoleReporter();
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** One thing that must be seen in the guest. */
interface Step {
  readonly title: string;
  readonly script: string;
  /** What its output has to show. */
  readonly shows: RegExp;
}

const livepatches = '/sys/kernel/livepatch';

function steps(name: string): Step[] {
  return [
    { title: 'the file before', script: 'grep -i vmallocchunk /proc/meminfo', shows: /^VmallocChunk:/m },
    {
      title: 'load the live patch',
      script: `insmod /patch.ko && ls ${livepatches}`,
      shows: new RegExp(`^${name}$`, 'm'),
    },
    {
      title: 'the transition completes',
      script: `n=0; while [ "$(cat ${livepatches}/${name}/transition)" != 0 ] && [ $n -lt 60 ]; do sleep 0.5; n=$((n+1)); done
               echo "enabled $(cat ${livepatches}/${name}/enabled), in transition $(cat ${livepatches}/${name}/transition)"`,
      shows: /^enabled 1, in transition 0$/m,
    },
    {
      title: 'the redirected functions, as livepatch lists them',
      script: `cd ${livepatches}/${name} && find . -mindepth 2 -type d | sed 's,^./,,'`,
      shows: /^vmlinux\/meminfo_proc_show,\d+$/m,
    },
    {
      title: 'the redirected functions, as ftrace lists them',
      script: 'mount -t tracefs none /sys/kernel/tracing 2>/dev/null; cat /sys/kernel/tracing/enabled_functions',
      shows: /^meminfo_proc_show \(1\).*klp_ftrace_handler/ms,
    },
    { title: 'the file with the live patch', script: 'grep -i vmallocchunk /proc/meminfo', shows: /^VMALLOCCHUNK:/m },
    {
      title: 'unload it',
      script: `echo 0 > ${livepatches}/${name}/enabled
               n=0; while [ -d ${livepatches}/${name} ] && [ $n -lt 60 ]; do sleep 0.5; n=$((n+1)); done
               rmmod ${name} && ls ${livepatches} | wc -l`,
      shows: /^0$/m,
    },
    { title: 'the file as it was', script: 'grep -i vmallocchunk /proc/meminfo', shows: /^VmallocChunk:/m },
    {
      title: 'the kernel log has no complaint',
      script: 'dmesg | grep -E "WARNING|BUG|Oops|Unpatched|Call Trace" || echo clean',
      shows: /^clean$/m,
    },
  ];
}

async function show(guest: Guest, step: Step): Promise<boolean> {
  const { output } = await guest.run(step.script, { step: step.title, deadlineMs: 60_000 });
  const seen = step.shows.test(output);
  say(`${seen ? '✓' : '✗'} ${step.title}`);
  for (const line of output.trimEnd().split('\n')) say(`    ${line}`);
  return seen;
}

function showPatch(result: BuildResult): void {
  say(`\n${result.name}.ko for ${result.kernel.release}, ${result.module.length} bytes, sha256 ${result.sha256}`);
  for (const { kind, name, object } of result.functions) say(`    ${kind} function ${name} in ${object}`);
  say('');
}

async function demo(): Promise<boolean> {
  const result = await build(
    {
      patches: [join(root, 'examples', 'meminfo.patch')],
      version: 1,
      cves: [],
      replace: true,
      skipCompilerCheck: false,
      keepLineChanges: false,
      kernelSource: { allowExpired: process.argv.includes('--allow-expired') },
    },
    report,
  );
  showPatch(result);
  using folder = temporaryFolder('kpatch-demo-');
  const module = join(folder.path, `${result.name}.ko`);
  writeFileSync(module, result.module);
  const guest = await report.stage('boot the stock kernel', () =>
    boot({ image: result.kernel.paths.image, files: { '/patch.ko': { content: result.module } } }),
  );
  let seen = true;
  try {
    await report.stage('before, with and after the live patch', async () => {
      say('');
      for (const step of steps(result.name)) seen = (await show(guest, step)) && seen;
      say('');
    });
  } finally {
    await guest.stop();
  }
  return seen;
}

try {
  const seen = await demo();
  say('\nstage (some run side by side)              seconds');
  for (const { name, ms } of report.times) say(`${name.padEnd(42)} ${(ms / 1000).toFixed(1).padStart(7)}`);
  say(
    seen
      ? '\nEvery step was seen in the running kernel.'
      : '\nA step was not seen: look for the line that begins with ✗.',
  );
  process.exitCode = seen ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof KpatchError ? renderError(error) : String(error)}\n`);
  process.exitCode = 1;
}
