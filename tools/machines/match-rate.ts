/** The rate of functions of a kernel whose compiled code is the code that the kernel runs. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import type { Reporter } from '#kpatch/base/report.ts';
import { originalUnit, vendorUnit } from '#kpatch/builder/pairs.ts';
import { describeMismatch, RunPre } from '#kpatch/builder/run-pre.ts';
import { STT } from '#kpatch/formats/elf/constants.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import type { Owner } from '#kpatch/kbuild/object-map.ts';
import type { RunningCode } from '#kpatch/kernel/running-code.ts';
import type { TargetKernel } from '#kpatch/kernel/target.ts';
import { requirePlatform } from '#kpatch/platform/registry.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { runningCode } from '#kpatch/run-pre/module-code.ts';
import { random } from '../corpus/files.ts';

export interface Drawing {
  readonly units: number;
  readonly seed: number;
  readonly report: Reporter;
}

/** What became of the functions of the units that were drawn. */
export interface MatchRate {
  readonly units: number;
  /** Functions that the kernel has and that are compared; weak ones that another file overrides are not among them. */
  readonly functions: number;
  readonly matched: number;
  /** Lines in words: why a function did not match. */
  readonly others: readonly string[];
  /** For people; `all` lists every function that did not match. */
  text(all?: boolean): string;
}

const isCounted = (reason: string | undefined): boolean => reason !== 'absent' && reason !== 'overridden';

/** Draws units written in C, compiles and matches them. Errors: those of compiling and of reading the kernel. */
export async function matchRate(kernel: TargetKernel, { units: wanted, seed, report }: Drawing): Promise<MatchRate> {
  const facts = new KernelFacts(kernel);
  const rules = await facts.rules();
  const next = random(seed);
  const all = [...(await facts.objects())].filter(([, owners]) => isPresent(facts, owners));
  const anchored = requirePlatform('uname', kernel.arch).runPre?.sectionAnchors === true;
  const compiled = anchored ? vendorUnit : originalUnit;
  const codes = new Map<string, RunningCode>();
  const others: string[] = [];
  let [units, functions, matched] = [0, 0, 0];
  await report.stage(`compile and match ${wanted} units`, async (update) => {
    while (units < wanted && all.length > 0) {
      const [[object, owners]] = all.splice(Math.floor(next() * all.length), 1) as [[string, Owner[]]];
      if (!existsSync(join(kernel.paths.tree, object.replace(/\.o$/, '.c')))) continue;
      update(`${units}: ${object}`);
      const unit = { object, owners, through: [] };
      using folder = temporaryFolder('kpatch-rate-');
      const { bytes } = await compiled(facts, unit, folder.path);
      units++;
      const elf = readObject(bytes, object);
      const name = owners[0]!.object;
      const code = codes.get(name) ?? (await runningCode(facts, name));
      codes.set(name, code);
      const match = new RunPre(elf, code, rules);
      for (const { name: one, type, section, size } of elf.symbols) {
        if (type !== STT.FUNC || typeof section !== 'object' || size === 0) continue;
        const result = match.result(one);
        if (result === undefined || (!result.matched && !isCounted(result.reason))) continue;
        functions++;
        if (result.matched) matched++;
        else others.push(`${object}: ${describeMismatch(result, one)}`);
      }
    }
  });
  const text = (list = false): string => {
    const percent = functions === 0 ? '-' : ((matched / functions) * 100).toFixed(2);
    const first = `${kernel.release} (${kernel.arch}): ${matched} of ${functions} functions of ${units} units match: ${percent} of 100`;
    return [first, ...(list ? others : others.slice(0, 40))].join('\n');
  };
  return { units, functions, matched, others, text };
}

/** Modules that the kernel was given without cannot be compared. */
function isPresent(facts: KernelFacts, owners: readonly Owner[]): boolean {
  const name = owners[0]!.object;
  return name === 'vmlinux' || (facts.kernel.paths.modules !== undefined && facts.modules.names.includes(name));
}
