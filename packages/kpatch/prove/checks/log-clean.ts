/** The kernel log has no complaint. */
import { plural } from '../../base/errors/plural.ts';
import type { GuestCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { complaintsIn, parseLog } from '../run/guest/kernel-log.ts';
import { normalMessage } from '../run/guest/stock-log.ts';

export const logClean: GuestCheck = {
  id: 'log-clean',
  title: 'the kernel log has no complaint',
  where: 'guest',
  async *run(session) {
    const { output } = await session.sh('dmesg -r', { step: 'read the kernel log' });
    const records = parseLog(output);
    const before = new Set(session.state.complaintsBefore);
    const stock = session.stockComplaints;
    const found = complaintsIn(records).filter(({ text }) => !before.has(text) && !stock.has(normalMessage(text)));
    const lines = records.map(({ text }) => text);
    const said = lines.filter((text) => /livepatch|taint/.test(text));
    if (found.length > 0) {
      const at = lines.indexOf(found[0]!.text);
      throw new ClaimFailed(
        `the kernel complains: ${withoutTime(found[0]!.text)}`,
        lines.slice(Math.max(0, at - 5), at + 60).join('\n'),
      );
    }
    yield {
      text: `${plural(lines.length, 'line')}, no warning, no bug, no error`,
      detail: said.join('\n'),
      varies: true,
    };
  },
};

function withoutTime(line: string): string {
  return line.replace(/^\[ *\d+\.\d+\] /, '');
}
