import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { compareDeb, compareRpm, compareUpstream, rpmvercmp, upstreamOf } from '#kpatch/advisory/version.ts';

/** Lines `a b result` as the upstream projects' own test tables have them. */
function check(compare: (a: string, b: string) => number, table: string): void {
  for (const line of table.trim().split('\n')) {
    const [a, b, expected] = line.trim().split(/\s+/);
    assert.equal(Math.sign(compare(a!, b!)), Number(expected), `${a} against ${b}`);
    assert.equal(Math.sign(compare(b!, a!)), -Number(expected) + 0, `${b} against ${a}`);
  }
}

test('rpm: the vectors of rpm/tests/rpmvercmp.at', () => {
  check(
    rpmvercmp,
    `1.0 1.0 0
    1.0 2.0 -1
    2.0.1 2.0.1 0
    2.0 2.0.1 -1
    2.0.1a 2.0.1a 0
    2.0.1a 2.0.1 1
    5.5p1 5.5p1 0
    5.5p1 5.5p2 -1
    5.5p1 5.5p10 -1
    10xyz 10.1xyz -1
    xyz10 xyz10 0
    xyz10 xyz10.1 -1
    xyz.4 xyz.4 0
    xyz.4 8 -1
    xyz.4 2 -1
    5.5p2 5.6p1 -1
    5.6p1 6.5p1 -1
    6.0.rc1 6.0 1
    10b2 10a1 1
    10a2 10b2 -1
    1.0aa 1.0aa 0
    1.0a 1.0aa -1
    10.0001 10.0001 0
    10.0001 10.1 0
    10.0001 10.0039 -1
    4.999.9 5.0 -1
    20101121 20101122 -1
    2_0 2_0 0
    2.0 2_0 0
    a+ a+ 0
    a+ a_ 0
    +a _a 0
    +_ _+ 0
    + _ 0
    1.0~rc1 1.0~rc1 0
    1.0~rc1 1.0 -1
    1.0~rc1 1.0~rc2 -1
    1.0~rc1~git123 1.0~rc1 -1
    1.0^ 1.0^ 0
    1.0^ 1.0 1
    1.0^git1 1.0 1
    1.0^git1 1.0^git2 -1
    1.0^git1 1.01 -1
    1.0^20160101 1.0.1 -1
    1.0^20160101^git1 1.0^20160102 -1
    1.0~rc1^git1 1.0~rc1 1
    1.0^git1~pre 1.0^git1 -1
    1b.fc17 1.fc17 -1
    1g.fc17 1.fc17 1`,
  );
});

test('rpm: epochs and releases', () => {
  check(
    compareRpm,
    `0:5.14.0-427.13.1.el9 5.14.0-427.13.1.el9 0
    1:1.0-1 2.0-1 1
    5.14.0-427.13.1.el9 5.14.0-427.13.2.el9 -1
    5.14.0-427.el9 5.14.0 0`,
  );
});

const debian = `1.0 1.0 0
  0:0-0 0:0-0 0
  0:0.0-0 0:0.0-0 0
  0 0- 0
  1:0 0:1 1
  1:1.2.3-4 1.2.3-4 1
  1.2.3-4 1.2.3-5 -1
  0:1.2.3 1.2.3-0 0
  1.0~rc1 1.0 -1
  1.0~~ 1.0~ -1
  1.0~~a 1.0~~ 1
  1.0-1~bpo 1.0-1 -1
  1.0a 1.0 1
  1.0+b1 1.0 1
  1.0+b1 1.0a 1
  1.0.1 1.0-1 1
  010 10 0
  1.2.a 1.2.b -1
  6.1.190-1 6.1.192-1 -1
  6.1.99-1 6.1.190-1 -1
  6.12.1-1~bpo12+1 6.12.1-1 -1
  2.7.4+reloaded2-13ubuntu1 2.7.4+reloaded-13ubuntu1 1
  1.18.36:5.4 1.18.36:5.5 -1
  21-cvs4 21-cvs3 1`;

test('deb: vectors of dpkg and apt', () => check(compareDeb, debian));

test('deb: the same answers as dpkg --compare-versions, also for random versions', () => {
  // dpkg refuses an epoch that is not a number, so it cannot be asked about that line of apt's table.
  const pairs = debian
    .split('\n')
    .filter((line) => !line.includes('36:'))
    .map((line) => line.trim().split(/\s+/).slice(0, 2));
  let seed = 7;
  const next = (below: number): number => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * below);
  };
  const word = (): string => `1${Array.from({ length: 1 + next(6) }, () => '0129.~+ab-'[next(10)]).join('')}0`;
  for (let n = 0; n < 150; n++) pairs.push([word(), word()]);
  const script = pairs.map(([a, b]) => `c '${a}' '${b}'`).join('\n');
  const shell = `c() { if dpkg --compare-versions "$1" lt "$2"; then echo -1; elif dpkg --compare-versions "$1" gt "$2"; then echo 1; else echo 0; fi; }\n${script}\n`;
  const said = spawnSync('sh', ['-c', shell], { encoding: 'utf8' }).stdout.trim().split('\n').map(Number);
  assert.equal(said.length, pairs.length);
  for (const [at, [a, b]] of pairs.entries()) {
    assert.equal(Math.sign(compareDeb(a!, b!)), said[at], `${a} against ${b}`);
  }
});

test('upstream versions of CVE records', () => {
  check(
    compareUpstream,
    `6.1 6.1.0 0
    6.1.9 6.1.79 -1
    6.8-rc5 6.8 -1
    6.8-rc5 6.8-rc10 -1
    6.8-rc5 6.7.12 1
    0 5.7 -1`,
  );
  assert.equal(upstreamOf('6.1.190-1'), '6.1.190');
  assert.equal(upstreamOf('0:5.14.0-427.13.1.el9_4'), '5.14.0');
  assert.equal(upstreamOf('6.12~rc3-1~exp1'), '6.12-rc3');
});

test('any two strings compare, and fast', () => {
  const odd = ['', ':', '-', '~', '^', 'ä', '-:-', `${'1'.repeat(5000)}`, 'a'.repeat(5000), '\0', '1:2:3-4-5'];
  for (const compare of [compareDeb, compareRpm, compareUpstream]) {
    for (const a of odd) for (const b of odd) assert.ok(Number.isFinite(compare(a, b)));
  }
});
