/** Orders of package versions, as dpkg and rpm have them, and of upstream kernel versions. */

export type Scheme = 'deb' | 'rpm' | 'upstream';
/** Negative, 0 or positive as `a` is older than, the same as or newer than `b`. */
export type Compare = (a: string, b: string) => number;

/** The order of a scheme. */
export function compareBy(scheme: Scheme): Compare {
  return { deb: compareDeb, rpm: compareRpm, upstream: compareUpstream }[scheme];
}

/** Debian Policy 5.6.12: `[epoch:]upstream[-revision]`. Total: any two strings can be compared. */
export function compareDeb(a: string, b: string): number {
  const [one, two] = [splitDebian(a), splitDebian(b)];
  return (
    comparePrefixNumber(one.epoch, two.epoch) ||
    debPart(one.upstream, two.upstream) ||
    debPart(one.revision, two.revision)
  );
}

function splitDebian(version: string): { epoch: string; upstream: string; revision: string } {
  const colon = version.indexOf(':');
  const rest = colon < 0 ? version : version.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  return {
    epoch: colon < 0 ? '0' : version.slice(0, colon),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? '' : rest.slice(dash + 1),
  };
}

/** Runs of non-digits (`~` before the end, before letters, before all else) and of digits in turn. */
function debPart(a: string, b: string): number {
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    while ((i < a.length && !isDigit(a, i)) || (j < b.length && !isDigit(b, j))) {
      const difference = weight(a, i) - weight(b, j);
      if (difference !== 0) return difference;
      i++;
      j++;
    }
    const [x, y] = [digits(a, i), digits(b, j)];
    const difference = comparePrefixNumber(x, y);
    if (difference !== 0) return difference;
    i += x.length;
    j += y.length;
  }
  return 0;
}

/** Order of one character: a digit or the end counts 0, `~` less, letters by code, all others after the letters. */
function weight(text: string, at: number): number {
  if (at >= text.length || isDigit(text, at)) return 0;
  const char = text[at]!;
  if (char === '~') return -1;
  const code = char.charCodeAt(0);
  return /[A-Za-z]/.test(char) ? code : code + 256;
}

/**
 * rpm's order of `[epoch:]version[-release]`. A missing epoch is 0; a missing release matches any, as in a dependency.
 * Total: any two strings can be compared.
 */
export function compareRpm(a: string, b: string): number {
  const [one, two] = [splitRpm(a), splitRpm(b)];
  const difference = comparePrefixNumber(one.epoch, two.epoch) || rpmvercmp(one.version, two.version);
  if (difference !== 0 || one.release === '' || two.release === '') return difference;
  return rpmvercmp(one.release, two.release);
}

function splitRpm(evr: string): { epoch: string; version: string; release: string } {
  const [, epoch = '0', rest = ''] = /^(?:(\d+):)?(.*)$/s.exec(evr) ?? [];
  const dash = rest.lastIndexOf('-');
  return {
    epoch,
    version: dash < 0 ? rest : rest.slice(0, dash),
    release: dash < 0 ? '' : rest.slice(dash + 1),
  };
}

/**
 * rpm's comparison of one part: segments of letters or of digits, all else only separates; `~` sorts before the end, `^`
 * after the end but before a longer segment (rpm 4.15, `rpmvercmp`). A number is newer than letters.
 */
export function rpmvercmp(a: string, b: string): number {
  let i = 0;
  let j = 0;
  const skip = (text: string, from: number): number => {
    let at = from;
    while (at < text.length && !/[A-Za-z0-9~^]/.test(text[at]!)) at++;
    return at;
  };
  while (i < a.length || j < b.length) {
    i = skip(a, i);
    j = skip(b, j);
    if (a[i] === '~' || b[j] === '~') {
      if (a[i] !== '~') return 1;
      if (b[j] !== '~') return -1;
      i++;
      j++;
      continue;
    }
    if (a[i] === '^' || b[j] === '^') {
      if (i >= a.length) return -1;
      if (j >= b.length) return 1;
      if (a[i] !== '^') return 1;
      if (b[j] !== '^') return -1;
      i++;
      j++;
      continue;
    }
    if (i >= a.length || j >= b.length) break;
    const numeric = isDigit(a, i);
    const one = numeric ? digits(a, i) : letters(a, i);
    const two = numeric ? digits(b, j) : letters(b, j);
    if (two === '') return numeric ? 1 : -1;
    const difference = numeric ? comparePrefixNumber(one, two) : one < two ? -1 : one > two ? 1 : 0;
    if (difference !== 0) return difference;
    i += one.length;
    j += two.length;
  }
  const [restA, restB] = [i < a.length, j < b.length];
  return restA === restB ? 0 : restA ? 1 : -1;
}

/**
 * Upstream kernel versions, as in CVE records: numbers between dots (a missing one is 0), and `-rcN` before the release.
 * `6.1` = `6.1.0` < `6.1.79`; `6.8-rc5` < `6.8`.
 */
export function compareUpstream(a: string, b: string): number {
  const [one, two] = [splitUpstream(a), splitUpstream(b)];
  for (let at = 0; at < Math.max(one.numbers.length, two.numbers.length); at++) {
    const difference = comparePrefixNumber(one.numbers[at] ?? '0', two.numbers[at] ?? '0');
    if (difference !== 0) return difference;
  }
  if (one.rc === two.rc) return 0;
  if (one.rc === undefined) return 1;
  if (two.rc === undefined) return -1;
  return comparePrefixNumber(one.rc, two.rc);
}

function splitUpstream(version: string): { numbers: string[]; rc: string | undefined } {
  const [, numbers = '', rc] = /^([\d.]*)(?:-rc(\d+))?/.exec(version) ?? [];
  return { numbers: numbers.split('.').filter((part) => part !== ''), rc };
}

/** The upstream version that a distribution's kernel version is based on: `6.1.190-1` and `0:5.14.0-427.el9` to the part before. */
export function upstreamOf(version: string): string {
  return /^(?:\d+:)?(\d+(?:\.\d+)*(?:[-~]rc\d+)?)/.exec(version)?.[1]?.replace('~rc', '-rc') ?? version;
}

/** Compares digit strings of any length as numbers; what is not digits compares as text, so that the order stays total. */
function comparePrefixNumber(a: string, b: string): number {
  const [x, y] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return x.length - y.length || (x < y ? -1 : x > y ? 1 : 0);
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

function digits(text: string, from: number): string {
  let to = from;
  while (to < text.length && isDigit(text, to)) to++;
  return text.slice(from, to);
}

function letters(text: string, from: number): string {
  let to = from;
  while (to < text.length && /[A-Za-z]/.test(text[to]!)) to++;
  return text.slice(from, to);
}
