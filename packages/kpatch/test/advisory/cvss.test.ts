import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cvss3Score } from '#kpatch/advisory/formats/cvss3.ts';
import { cvss4Score } from '#kpatch/advisory/formats/cvss4.ts';
import { levelOfScore, levelOfWord, severityOfVector } from '#kpatch/advisory/severity.ts';

test('CVSS 3.1: the scores of FIRST’s examples', () => {
  // CVSS v3.1 Examples: the numbers of the vulnerabilities as named there.
  const examples: Readonly<Record<string, number>> = {
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N': 6.1, // CVE-2013-1937
    'CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N': 6.4, // CVE-2013-0375
    'CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N': 3.1, // CVE-2014-3566
    'CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H': 9.9, // CVE-2012-1516
    'CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L': 4.2, // CVE-2009-0783
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N': 7.5, // CVE-2014-0160
    'CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H': 7.8,
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N': 0,
    'CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H': 10,
  };
  for (const [vector, score] of Object.entries(examples)) assert.equal(cvss3Score(vector), score, vector);
});

test('CVSS 4.0: the scores of FIRST’s examples and of each step of the interpolation', () => {
  const examples: Readonly<Record<string, number>> = {
    'CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N': 7.3, // CVE-2022-41741
    'CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N': 7.7, // CVE-2020-3549
    'CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N': 8.7, // CVE-2014-0160
    'CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N/E:U': 6.6,
    'CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H': 10, // CVE-2021-44228
    'CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N': 8.5,
    'CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N': 0,
    'CVSS:4.0/AV:P/AC:H/AT:P/PR:H/UI:A/VC:L/VI:L/VA:L/SC:N/SI:N/SA:N': 1,
  };
  for (const [vector, score] of Object.entries(examples)) assert.equal(cvss4Score(vector), score, vector);
});

test('every one of the 104,976 base vectors of CVSS 4.0 has a score in steps of a tenth', () => {
  const metrics = [
    ['AV', 'NALP'],
    ['AC', 'LH'],
    ['AT', 'NP'],
    ['PR', 'NLH'],
    ['UI', 'NPA'],
    ['VC', 'HLN'],
    ['VI', 'HLN'],
    ['VA', 'HLN'],
    ['SC', 'HLN'],
    ['SI', 'HLN'],
    ['SA', 'HLN'],
  ] as const;
  let seen = 0;
  const walk = (at: number, vector: string): void => {
    const metric = metrics[at];
    if (metric !== undefined) {
      for (const value of metric[1]) walk(at + 1, `${vector}/${metric[0]}:${value}`);
      return;
    }
    const score = cvss4Score(vector);
    assert.ok(score !== undefined && score >= 0 && score <= 10 && Math.abs(score * 10 - Math.round(score * 10)) < 1e-9);
    seen++;
  };
  walk(0, 'CVSS:4.0');
  assert.equal(seen, 104_976);
});

test('what is no vector has no score', () => {
  for (const bad of [
    '',
    'CVSS:3.1/AV:N',
    'CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H',
    'CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H',
    'CVSS:3.1/AV:constructor/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H',
    'CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:S/SI:N/SA:N',
    'CVSS:2.0/AV:N/AC:L/Au:N/C:P/I:P/A:P',
    'AV:N/AC:L/Au:N/C:P/I:P/A:P',
  ]) {
    assert.equal(severityOfVector(bad, 'x'), undefined, bad);
  }
});

test('scores and words of vendors are levels', () => {
  const at = [0, 0.1, 3.9, 4, 6.9, 7, 8.9, 9, 10].map(levelOfScore);
  assert.deepEqual(at, [
    'none',
    'low',
    'low',
    'moderate',
    'moderate',
    'important',
    'important',
    'critical',
    'critical',
  ]);
  assert.equal(levelOfWord('High'), 'important');
  assert.equal(levelOfWord('MEDIUM'), 'moderate');
  assert.equal(levelOfWord('medium**'), 'moderate');
  assert.equal(levelOfWord('negligible'), 'low');
  assert.equal(levelOfWord('not yet assigned'), undefined);
  assert.equal(levelOfWord('constructor'), undefined);
});
