/** Locks in the text of a function: which it takes, which it releases, in the order of the text. */
import { type CCall, callsIn } from './c-functions.ts';

export interface LockCall {
  readonly kind: 'take' | 'release';
  /** The family of the lock and what it is taken on: the same for a lock and its release. */
  readonly key: string;
  readonly text: string;
  readonly at: number;
}

/** Pairs whose names do not contain "lock" and "unlock". */
const pairs: readonly (readonly [RegExp, RegExp, string])[] = [
  [/^down(_interruptible|_killable|_trylock|_timeout)?$/, /^up$/, 'semaphore'],
  [/^down_read\w*$/, /^up_read\w*$/, 'read semaphore'],
  [/^down_write\w*$/, /^up_write\w*$/, 'write semaphore'],
  [/^lock_sock(_nested|_fast)?$/, /^release_sock$/, 'socket lock'],
  [/^local_bh_disable$/, /^local_bh_enable$/, 'bottom halves'],
  [/^preempt_disable(_notrace)?$/, /^preempt_enable(_\w+)?$/, 'preemption'],
  [/^local_irq_(disable|save)$/, /^local_irq_(enable|restore)$/, 'interrupts'],
  [/^get_cpu$/, /^put_cpu$/, 'get_cpu'],
];

/** Functions with "lock" in their names that take none. */
const other =
  /block(s|ed|ing|size|dev)?$|_lock_(init|held|is)|^(?:spin|mutex|rwsem|raw_spin|rwlock|lockdep)_(?:lock_)?(?:init|is|destroy|assert)|lockdep|_assert|is_locked|unlocked|_locked$|deadlock|clock|flock|lock_class|assert_\w+|guard/;

/** The lock calls of a body (blanked text) in their order. */
export function lockCalls(body: string): LockCall[] {
  return callsIn(body).flatMap((call) => {
    const one = lockCall(call);
    return one === undefined ? [] : [one];
  });
}

function lockCall(call: CCall): LockCall | undefined {
  const { name, at } = call;
  const on = (call.arguments[0] ?? '').replace(/^&/, '').replace(/\s+/g, '');
  const text = `${name}(${call.arguments[0] ?? ''})`;
  for (const [take, release, key] of pairs) {
    if (take.test(name)) return { kind: 'take', key: `${key} ${on}`, text, at };
    if (release.test(name)) return { kind: 'release', key: `${key} ${on}`, text, at };
  }
  if (!/lock/.test(name) || /block|clock/.test(name) || other.test(name)) return undefined;
  if (!/(?:^|_)(?:un|try)?lock(?:_|$)/.test(name)) return undefined;
  const family = name
    .replace(/unlock|trylock/, 'lock')
    .replace(/lock_\w*$/, 'lock')
    .replace(/^_+/, '');
  const key = `${family} ${on}`;
  return { kind: name.includes('unlock') ? 'release' : 'take', key, text, at };
}

/** Lock calls by which a function changes what its caller holds: it releases what it did not take, or keeps what it took. */
export function unbalanced(body: string): {
  readonly released: readonly LockCall[];
  readonly kept: readonly LockCall[];
} {
  const calls = lockCalls(body);
  const released = calls.filter(
    (one, at) =>
      one.kind === 'release' && !calls.slice(0, at).some(({ kind, key }) => kind === 'take' && key === one.key),
  );
  const kept = calls.filter(
    (one) => one.kind === 'take' && !calls.some(({ kind, key }) => kind === 'release' && key === one.key),
  );
  return { released, kept };
}
