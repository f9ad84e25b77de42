/**
 * Attacks as tests. Each one is carried out as an attacker would and must be refused. `make test` runs them with all other
 * tests; `make attacks` runs only them and prints one line for each: how it was carried out and what refused it.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { printable } from '#kpatch/base/text/printable.ts';

export interface Attack {
  /** What part of the program is attacked, as `policy`, `signature`, `sandbox`, `channel`. */
  readonly area: string;
  /** Who can do it: one of the attackers in docs/threat-model.md. */
  readonly attacker: 'mirror' | 'network' | 'channel key' | 'patch author' | 'local user' | 'guest' | 'supply chain';
  /** How it is carried out, in one sentence without a full stop. */
  readonly how: string;
}

/** Begins the line of a test's diagnostics that `make attacks` reads; a JSON document follows. */
export const attackMark = 'attack: ';

/**
 * One attack. `carryOut` does it against the real code and gives what refused it: the catalogue's error, or a sentence.
 * It throws where the attack worked.
 */
export function attack(
  { area, attacker, how }: Attack,
  carryOut: (context: TestContext) => Promise<KpatchError | string> | KpatchError | string,
): void {
  test(`attack on ${area}: ${how}`, async (context) => {
    const refusal = await carryOut(context);
    const refusedBy = refusal instanceof KpatchError ? `${refusal.code}: ${refusal.message}` : refusal;
    assert.notEqual(refusedBy, '', 'an attack says what refused it');
    context.diagnostic(`${attackMark}${JSON.stringify({ area, attacker, how, refusedBy: printable(refusedBy) })}`);
  });
}
