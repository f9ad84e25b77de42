/** The module loader and livepatch would find every symbol that the module needs. */

import { KpatchError } from '../../../base/errors/error.ts';
import { checkModule } from '../../../module/check/check.ts';
import type { StaticCheck } from '../../run/check.ts';
import { ClaimFailed } from '../../run/event.ts';

export const resolves: StaticCheck = {
  id: 'resolves',
  title: 'every symbol and function it refers to exists in this kernel',
  where: 'files',
  applies: ({ kernel, subject }) => kernel.facts !== undefined && subject.manifest !== undefined,
  async *run({ subject, kernel }) {
    try {
      const report = await checkModule(subject.bytes, subject.file, kernel.facts!);
      yield {
        text: `${report.exportedSymbols} exported symbols with their versions, ${report.livepatchSymbols} livepatch symbols`,
      };
      yield { text: `${report.code} bytes of code, ${report.data} bytes of data` };
    } catch (error) {
      if (!(error instanceof KpatchError)) throw error;
      throw new ClaimFailed(error.message, error.detail);
    }
  },
};
