/** Each function that should be redirected is, by what livepatch and by what ftrace says. */
import type { GuestCheck } from '../check.ts';
import { ClaimFailed } from '../event.ts';
import { enabledFunctions, listedFunctions, parseEnabledFunctions, patchedObjects } from '../livepatch.ts';
import { functionName } from '../subject.ts';

export const redirected: GuestCheck = {
  id: 'redirected',
  title: 'each function of the patch is redirected',
  where: 'guest',
  async *run(session) {
    const { subject, state } = session;
    const listed = await listedFunctions(session, subject.name);
    state.redirected = listed;
    if (listed.length === 0) throw new ClaimFailed('livepatch lists no function for this patch');
    yield {
      text: `livepatch lists ${listed.map(functionName).join(', ')}`,
      data: { functions: listed },
    };
    const has = (object: string, name: string): boolean =>
      listed.some((other) => other.object === object && other.name === name);
    const missing = (subject.functions ?? []).filter(({ object, name }) => !has(object, name));
    if (missing.length > 0) {
      throw new ClaimFailed(`not listed though the manifest names them: ${missing.map(functionName).join(', ')}`);
    }
    for (const [object, patched] of await patchedObjects(session, subject.name)) {
      if (!patched) throw new ClaimFailed(`the functions of ${object} are not patched although it is there`);
    }
    const text = await enabledFunctions(session);
    const redirections = parseEnabledFunctions(text).filter(({ byLivepatch }) => byLivepatch);
    const lines = text.split('\n').filter((line) => line.includes('klp_ftrace_handler'));
    const unseen = listed.filter(({ name }) => !redirections.some((entry) => entry.name === name));
    if (unseen.length > 0) {
      throw new ClaimFailed(`ftrace does not redirect ${unseen.map(functionName).join(', ')}`, text);
    }
    yield {
      text: `ftrace redirects ${redirections.map(({ name }) => name).join(', ')} to livepatch`,
      detail: lines.join('\n'),
    };
    const strangers = redirections.filter(({ name }) => !listed.some((other) => other.name === name));
    if (strangers.length > 0) {
      throw new ClaimFailed(
        `redirected, but not by this patch's list: ${strangers.map(({ name }) => name).join(', ')}`,
      );
    }
  },
};
