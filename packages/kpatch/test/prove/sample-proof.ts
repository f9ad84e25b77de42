/** A proof and the facts of a report, small and made up, with one of everything that they can hold. */
import { type Proof, proofSchema } from '#kpatch/module/proof.ts';
import type { ReportFacts } from '#kpatch/prove/report/facts.ts';

const digest = 'ab'.repeat(32);

export function sampleProof(verdict: Proof['verdict']): Proof {
  const failed = verdict === 'not proven';
  return {
    schema: proofSchema,
    verdict,
    reasons: failed ? ['the kernel log has no complaint: the kernel complains: WARNING: CPU: 0 PID: 1'] : [],
    plan: 'full',
    module: { name: 'livepatch_fix', file: 'livepatch_fix.ko', sha256: digest },
    kernel: { release: '6.1.0-56-amd64', image: digest, buildId: 'cd'.repeat(20) },
    inputs: [{ role: 'test', name: 'fix.sh', sha256: digest }],
    tool: 'kpatch 0.1.0',
    qemu: '7.2.22',
    made: '2026-11-24T20:00:00.000Z',
    checks: [
      {
        check: 'files/fits',
        boot: 'files',
        title: 'the module is for this kernel',
        outcome: 'held',
        evidence: [{ text: 'vermagic: 6.1.0-56-amd64 SMP' }],
        ms: 3,
      },
      {
        check: 'stock/transition',
        boot: 'stock',
        title: 'the transition completes',
        outcome: 'held',
        evidence: [
          {
            text: 'it took 1.20 s',
            varies: true,
            data: {
              points: [
                { seconds: 0, tasks: 7 },
                { seconds: 0.6, tasks: 2 },
                { seconds: 1.2, tasks: 0 },
              ],
            },
          },
        ],
        ms: 1300,
      },
      {
        check: 'stock/log-clean',
        boot: 'stock',
        title: 'the kernel log has no complaint',
        outcome: failed ? 'failed' : 'held',
        ...(failed ? { reason: 'the kernel complains: WARNING: CPU: 0 PID: 1' } : {}),
        evidence: [{ text: 'what was seen', detail: 'WARNING: CPU: 0 PID: 1 at fs/proc/cmdline.c:9\nCall Trace:\n' }],
        ms: 200,
      },
      {
        check: 'stock/later',
        boot: 'stock',
        title: 'what comes later',
        outcome: failed ? 'not run' : 'held',
        evidence: [],
        ms: 0,
      },
    ],
    boots: [
      { boot: 'stock', title: 'the stock kernel', acceleration: 'tcg', bootMs: 3900, console: 'Linux version\nmore' },
    ],
    ms: 12_000,
  };
}

export function sampleFacts(): ReportFacts {
  const line = (offset: number, text: string): { offset: number; text: string } => ({ offset, text });
  return {
    patches: [{ name: 'fix.patch', text: '--- a/f.c\n+++ b/f.c\n@@ -1,2 +1,2 @@\n same\n-old\n+new\n' }],
    functions: [
      {
        func: { name: 'fixed_function', object: 'vmlinux', sympos: 0 },
        name: 'fixed_function',
        old: [line(0, 'push %rbx'), line(1, 'call one'), line(6, 'ret')],
        renewed: [line(0, 'push %rbx'), line(1, 'call two'), line(6, 'ret')],
        callers: [
          { name: 'caller_one', by: 'call' },
          { name: 'table_of_functions', by: 'pointer' },
        ],
      },
      {
        func: { name: 'in_a_module', object: 'floppy', sympos: 2 },
        name: 'floppy:in_a_module,2',
        old: undefined,
        renewed: [line(0, 'ret')],
        callers: [],
      },
    ],
  };
}
