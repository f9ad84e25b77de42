/** Objects that are mutated: each architecture, both byte orders, with debug information, and one of over 2 MB. */
import { targets } from './corpus/targets.ts';
import { compile } from './fixture.ts';
import { enlarge } from './large.ts';
import { sampleSource } from './sample.ts';

export function fuzzBases(): Uint8Array[] {
  return targets.flatMap((target) => {
    const source = `${target.headers}\n${sampleSource()}`;
    // Debug information is read alike on all architectures.
    const forms = target.arch === 'x86-64' && !target.clang ? [[], ['-g']] : [[]];
    return forms.map((more) => compile(target, source, more));
  });
}

/** Large enough that ten times its size is more than what the run-time takes by itself. */
export function largeBase(): Uint8Array {
  const [target] = targets;
  const one = compile(target!, `${target!.headers}\n${sampleSource()}`);
  return enlarge(one, Math.ceil((3 << 20) / one.length));
}
