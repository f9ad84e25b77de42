/** Objects that are mutated: each architecture, both byte orders, with debug information, and one of over 2 MB. */

import { targets } from './corpus/targets.ts';
import { compile, gcc, gccPadded, prelude } from './fixture.ts';
import { enlarge } from './large.ts';
import { sampleSource } from './sample.ts';

/** Uses of the macros that all architectures' headers have. */
const portable = `
static const int table[] = { 1, 2, 3, 5, 8 };
static struct static_key key;
static int counter __read_mostly = 3;
static noinline int helper(int a) { static int count; return use(a + count++); }
int checked(int a) { WARN_ON(a == 3); WARN_ONCE(a > 9, "too much (%d)\\n", a); might_sleep(); return helper(a) + counter; }
int switched(int a) { pr_debug("value %d\\n", a); if (static_branch(&key)) return helper(a) + 1; return table[a & 3]; }
int probed(int *p) { ALTERNATIVE(OLD, NEW1, 4); return PROBE(p) + use2("text", *p); }
int rare(int a) { if (unlikely(a == 5)) { cold_use(a); cold_use(a + 1); return 0; } return a * 3; }
int __init start(int a) { return use(a) + checked(1); }
`;

export function fuzzBases(): Uint8Array[] {
  const x86 = [gcc, gccPadded].flatMap((toolchain) => [
    compile(toolchain, prelude + sampleSource()),
    compile(toolchain, prelude + sampleSource(1)),
    compile(toolchain, prelude + sampleSource(), ['-g']),
  ]);
  const others = targets
    .filter(({ arch }) => arch !== 'x86-64')
    .map((target) => compile({ ...target }, target.headers + portable));
  return [...x86, ...others];
}

/** Large enough that ten times its size is more than what the run-time takes by itself. */
export function largeBase(): Uint8Array {
  const one = compile(gcc, prelude + sampleSource());
  return enlarge(one, Math.ceil((3 << 20) / one.length));
}
