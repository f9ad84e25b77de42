import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { KernelImage } from '#kpatch/kernel/image.ts';
import { readKallsyms } from '#kpatch/kernel/kallsyms/kallsyms.ts';
import { loadKallsyms, writeKallsyms } from '#kpatch/kernel/kallsyms/kallsyms-file.ts';
import { provokes } from '../provoke.ts';
import { kallsymsTables, layouts, type WrittenSymbol } from './kallsyms-writer.ts';
import { HEADER, leastImage, loaded } from './least-image.ts';

const base = 0xffffffff81000000n;

/** 700 symbols: per-CPU ones at small addresses, names that occur several times, a very long one, two at one address. */
const symbols: WrittenSymbol[] = [
  { name: 'fixed_percpu_data', type: 'A', address: 0n },
  { name: 'runqueues', type: 'A', address: 0x2a0c0n },
  ...Array.from({ length: 694 }, (_, i) => ({
    name: i % 100 === 7 ? 'init_once' : `tested_${i}_step`,
    type: 'tTdD'[i % 4]!,
    address: base + BigInt(i * 32),
  })),
  { name: 'alias_one', type: 'T', address: base + 0x100000n },
  { name: 'alias_two', type: 'T', address: base + 0x100000n },
  { name: `long_${'x'.repeat(200)}`, type: 't', address: base + 0x100100n },
  { name: '_end', type: 'B', address: base + 0x200000n },
];

const imageOf = (content: Buffer): KernelImage => new KernelImage(leastImage(content), 'vmlinux');

/** Bytes before and after, so that the tables must be found; with zeros and small numbers that could deceive. */
const noise = Buffer.from(Array.from({ length: 4096 }, (_, i) => [0, 9, 0x31, 0, 0xff, i & 0xff][i % 6]!));

describe('kallsyms', () => {
  for (const [name, layout] of Object.entries(layouts)) {
    it(`is found and decoded as ${name} lays it out`, () => {
      const without = layout.kind === 'relative' || layout.kind === 'self';
      const expected = without ? symbols.filter(({ address }) => address >= base) : symbols;
      const tables = kallsymsTables(expected, layout, base, 'little', loaded + BigInt(HEADER + noise.length));
      const kallsyms = readKallsyms(imageOf(Buffer.concat([noise, tables, noise])));
      assert.equal(kallsyms.size, expected.length);
      const read = [...kallsyms].map(({ name, type, address }) => ({ name, type, address }));
      assert.deepEqual(read, expected);
    });
  }

  const kallsyms = readKallsyms(imageOf(kallsymsTables(symbols, layouts['Linux 6.12']!)));

  it('counts equal names in the order of the table, and gives 0 to a unique name', () => {
    const all = kallsyms.lookup('init_once');
    assert.deepEqual(
      all.map(({ sympos }) => sympos),
      [1, 2, 3, 4, 5, 6, 7],
    );
    assert.ok(all.every(({ address }, i) => i === 0 || address > all[i - 1]!.address));
    assert.equal(kallsyms.lookup('_end')[0]?.sympos, 0);
    assert.deepEqual(kallsyms.lookup('no_such_symbol'), []);
  });

  it('finds symbols by address and where they end', () => {
    assert.deepEqual(
      kallsyms.symbolsAt(base + 0x100000n).map(({ name }) => name),
      ['alias_one', 'alias_two'],
    );
    assert.equal(kallsyms.nextAddress(base + 0x100000n), base + 0x100100n);
    assert.equal(kallsyms.symbolOf(base + 33n)?.name, 'tested_1_step');
    assert.equal(kallsyms.nextAddress(base + 0x200000n), undefined);
  });

  it('is kept in a file and read back the same; a damaged file is an error', async () => {
    using folder = temporaryFolder('kpatch-kallsyms-');
    const path = join(folder.path, 'kallsyms');
    writeKallsyms(path, kallsyms);
    assert.deepEqual([...loadKallsyms(path)], [...kallsyms]);
    for (const content of ['', 'something else', 'kpatch kallsyms 1\n700 99999999999\n', 'kpatch kallsyms 1\n1 1\na']) {
      writeFileSync(path, content);
      await provokes('kernel-kallsyms', () => loadKallsyms(path));
    }
  });

  it('is an error where there are no tables, or no plausible ones', async () => {
    await provokes('kernel-kallsyms', () => readKallsyms(imageOf(noise)));
    const unsorted = [...symbols].reverse();
    await provokes('kernel-kallsyms', () => readKallsyms(imageOf(kallsymsTables(unsorted, layouts['Linux 6.12']!))));
    const whole = kallsymsTables(symbols, layouts['Linux 6.12']!);
    await provokes('kernel-kallsyms', () => readKallsyms(imageOf(whole.subarray(0, 6000))));
  });
});
