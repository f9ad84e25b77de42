/** The answers of triage as metrics: one sample for each answer, in the text format of Prometheus. */
import { answers, type TriagedCve } from '../triage/answer.ts';

/** Every combination has a sample, also with the value 0, so that alerts need not handle a missing one. */
export function cveMetrics(release: string, cves: readonly TriagedCve[]): string {
  const kernel = release.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`));
  const lines = answers.flatMap((answer) =>
    [true, false].map((selected) => {
      const count = cves.filter((one) => one.answer === answer && one.selected === selected).length;
      return `kpatch_cves{kernel="${kernel}",answer="${answer}",selected="${selected}"} ${count}`;
    }),
  );
  const head = [
    '# HELP kpatch_cves CVEs of this kernel by answer, and whether the selection takes them.',
    '# TYPE kpatch_cves gauge',
  ];
  return `${[...head, ...lines].join('\n')}\n`;
}
