import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { type FinishedBoot, ProofJournal } from '#kpatch/prove/run/journal.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
after(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
});

const check = {
  check: 'stock/loads',
  boot: 'stock',
  title: 'it loads',
  outcome: 'held',
  evidence: [{ text: 'loaded', data: { ms: 3 }, varies: true }],
  ms: 12.5,
} as const;
const stock: FinishedBoot = {
  checks: [check],
  boot: { boot: 'stock', title: 'the stock kernel', acceleration: 'tcg', bootMs: 400, console: 'Linux\n' },
  store: Buffer.from('archive'),
  exceptions: new Map([['amd64_edac', 'no such device']]),
  stockComplaints: new Set(['firmware: failed']),
};
const path = join(folder, 'key-stock.json');

test('a finished boot is read back with what it found out about the stock kernel', () => {
  const journal = new ProofJournal(folder, 'key');
  journal.record(stock);
  const { boot, ...rest } = journal.finished('stock')!;
  const { boot: _, ...expected } = stock;
  assert.deepEqual(rest, expected);
  assert.deepEqual({ ...boot, ran: undefined }, { ...stock.boot, ran: undefined });
  assert.ok(Math.abs(Date.parse(boot.ran!) - Date.now()) < 60_000);
  assert.equal(journal.finished('debug'), undefined);
  assert.equal(new ProofJournal(folder, 'other').finished('stock'), undefined);
});

test('a boot in which a check failed or did not run is not recorded', () => {
  const journal = new ProofJournal(folder, 'key');
  for (const outcome of ['failed', 'not run'] as const) {
    journal.record({ ...stock, checks: [check, { ...check, outcome }] });
    assert.equal(journal.finished('stock'), undefined);
  }
});

test('a record is used only if it is whole, of today, and only this user can have written it', () => {
  const journal = new ProofJournal(folder, 'key');
  const spoilt: [string, (text: string) => void][] = [
    ['cut off', (text) => writeFileSync(path, text.slice(0, 100))],
    ['of another shape', () => writeFileSync(path, `{"made":"${daysAgo(0)}","checks":"all"}`)],
    ['two days old', (text) => writeFileSync(path, text.replace(/"made":"[^"]+"/, `"made":"${daysAgo(2)}"`))],
    [
      'of the day after tomorrow',
      (text) => writeFileSync(path, text.replace(/"made":"[^"]+"/, `"made":"${daysAgo(-2)}"`)),
    ],
    ['writable for the group', () => chmodSync(path, 0o660)],
    [
      'a link',
      (text) => {
        writeFileSync(`${path}.real`, text, { mode: 0o600 });
        rmSync(path);
        symlinkSync(`${path}.real`, path);
      },
    ],
  ];
  for (const [name, spoil] of spoilt) {
    rmSync(path, { force: true });
    journal.record(stock);
    assert.ok(journal.finished('stock'), name);
    spoil(readFileSync(path, 'utf8'));
    assert.equal(journal.finished('stock'), undefined, name);
  }
});

const daysAgo = (days: number): string => new Date(Date.now() - days * 24 * 3600_000).toISOString();

test('a folder that cannot be written means only that the boot runs again', () => {
  writeFileSync(join(folder, 'file'), '');
  const journal = new ProofJournal(join(folder, 'file'), 'key');
  journal.record(stock);
  assert.equal(journal.finished('stock'), undefined);
});
