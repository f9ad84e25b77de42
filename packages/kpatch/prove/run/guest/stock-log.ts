/** What the stock kernel itself complains about with the same modules and steps: that is not a complaint about the patch. */
import type { Session } from '../check.ts';
import { complaintsIn, parseLog } from './kernel-log.ts';

/** A message without what differs each time: the time, addresses, processors and processes. */
export function normalMessage(text: string): string {
  return text
    .replace(/^\[ *\d+\.\d+\] /, '')
    .replace(/\b(CPU|PID): \d+/g, '$1: N')
    .replace(/\b(?:0x)?[0-9a-f]{8,16}\b/g, 'X');
}

/** Remembers the complaints so far. Call it before a patch is loaded; later calls in the same boot do nothing. */
export async function rememberStockLog(session: Session): Promise<void> {
  const { state, stockComplaints } = session;
  if (state.stockLogRead === true || state.patchedAtBoot === true) return;
  state.stockLogRead = true;
  const { output } = await session.sh(`dmesg -r | tail -n +${(state.logLines ?? 0) + 1}`, {
    step: 'read the kernel log before the patch',
  });
  for (const { text } of complaintsIn(parseLog(output))) stockComplaints.add(normalMessage(text));
}
