/** Every function of the patch is redirected according to livepatch and to ftrace. */

import type { ReplacedFunction } from '../../module/tables.ts';
import { functionName } from '../input/subject.ts';
import type { GuestCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { enabledFunctions, listedFunctions, parseEnabledFunctions, patchedObjects } from '../run/guest/livepatch.ts';

export const redirected: GuestCheck = {
  id: 'redirected',
  title: 'every function of the patch is redirected',
  where: 'guest',
  async *run(session) {
    const { subject, state } = session;
    const listed = await listedFunctions(session, subject.name);
    state.redirected = listed;
    if (listed.length === 0 && subject.functions?.length === 0) {
      yield { text: 'livepatch lists no function, and the patch has none: it consists of callbacks only' };
      return;
    }
    if (listed.length === 0) throw new ClaimFailed('livepatch lists no function for this patch');
    yield {
      text: `livepatch lists ${listed.map(functionName).join(', ')}`,
      data: { functions: listed },
    };
    // A function with a unique name is listed at position 1.
    const same = (a: ReplacedFunction, b: ReplacedFunction): boolean =>
      a.object === b.object && a.name === b.name && Math.max(1, a.sympos) === Math.max(1, b.sympos);
    const missing = (subject.functions ?? []).filter((func) => !listed.some((other) => same(func, other)));
    if (missing.length > 0) {
      throw new ClaimFailed(
        `livepatch does not list these functions of the patch: ${missing.map(functionName).join(', ')}`,
      );
    }
    for (const [object, patched] of await patchedObjects(session, subject.name)) {
      if (!patched && state.absent?.has(object) !== true)
        throw new ClaimFailed(`the functions of ${object} are not patched although it is loaded`);
    }
    const text = await enabledFunctions(session);
    const redirections = parseEnabledFunctions(text).filter(({ byLivepatch }) => byLivepatch);
    const lines = text.split('\n').filter((line) => line.includes('klp_ftrace_handler'));
    const present = listed.filter(({ object }) => state.absent?.has(object) !== true);
    const unseen = present.filter(({ name }) => !redirections.some((entry) => entry.name === name));
    if (unseen.length > 0) {
      throw new ClaimFailed(`ftrace does not redirect ${unseen.map(functionName).join(', ')}`, text);
    }
    yield { text: `ftrace redirects ${redirections.map(({ name }) => name).join(', ')} to livepatch` };
    yield {
      text: `entries of tracing/enabled_functions that belong to livepatch: ${lines.length}`,
      detail: lines.join('\n'),
      varies: true,
    };
    const strangers = redirections.filter(({ name }) => !listed.some((other) => other.name === name));
    if (strangers.length > 0) {
      throw new ClaimFailed(
        `redirected, but not listed for this patch: ${strangers.map(({ name }) => name).join(', ')}`,
      );
    }
  },
};
