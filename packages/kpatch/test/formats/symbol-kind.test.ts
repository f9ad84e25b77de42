import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseKallsyms } from '#kpatch/differ/parts/symbols/symbol-table.ts';
import { symbolKinds } from '#kpatch/formats/symbol-kind.ts';

/** Addresses and letters as in Debian's 7.2.12: the section of data is executable, so its symbols have the letter of code. */
const listing = `ffffffff81000000 T _stext
ffffffff8138f950 t do_wait
ffffffff822ca860 T _etext
ffffffff82400000 D __start_rodata
ffffffff82500000 T a_constant
ffffffff82800000 D __end_rodata
ffffffff83200000 T _sdata
ffffffff8337c700 T cgroup_subsys
ffffffff83551cd8 t have_canfork_callback
ffffffff8355b800 T _edata
ffffffff83e50000 B __bss_start
ffffffff83ee4eb0 B cgroup_mutex
ffffffff83f00000 B __bss_stop
ffffffff84000000 d elsewhere
`;

test('a variable in an executable section of data is data', () => {
  const kinds = new Map(parseKallsyms(listing).map(({ name, kind }) => [name, kind]));
  for (const name of ['a_constant', 'cgroup_subsys', 'have_canfork_callback', 'cgroup_mutex', 'elsewhere']) {
    assert.equal(kinds.get(name), 'object', name);
  }
  assert.equal(kinds.get('do_wait'), 'function');
});

test('without the symbols of the linker script, or with hidden addresses, the letter decides', () => {
  const letters = { T: 'function', t: 'function', W: 'function', d: 'object', B: 'object', r: 'object', A: 'other' };
  for (const addressOf of [() => undefined, () => 0n]) {
    const kindOf = symbolKinds(addressOf);
    for (const [type, kind] of Object.entries(letters)) assert.equal(kindOf({ address: 0n, type }), kind, type);
  }
});
