/**
 * Holds that stages mention no machine and no distribution: their names, and numbers that only one machine has, may be in
 * the folders of platform/ and distro/ only. Comments may name them, as examples and as sources. Prints each line that does
 * not keep to this. With `--outside NAME` it prints every line outside the folder of that machine that mentions it
 * (docs/adding.md).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Platform } from '../packages/kpatch/platform/platform.ts';
import { records } from '../packages/kpatch/platform/records.ts';
import { platforms } from '../packages/kpatch/platform/registry.ts';

const root = join(import.meta.dirname, '..', 'packages', 'kpatch');

interface Subject {
  readonly what: string;
  /** The folder whose files may name them. */
  readonly home: string;
  readonly pattern: RegExp;
}

/** Names in lower case, in capitals and with a capital, as words or as the beginning of a name like `debianNaming`. */
function namesPattern(names: Iterable<string>): RegExp {
  const written = [...new Set(names)].flatMap((name) => [
    name,
    name.toLowerCase(),
    name.toUpperCase(),
    name.replace(/^./, (first) => first.toUpperCase()),
  ]);
  const longest = [...new Set(written)].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  return new RegExp(`(?<![a-zA-Z0-9])(?:${longest.join('|')})(?![a-z])`);
}

const machineNames = platforms().flatMap(({ name, naming, emulator }) => [
  ...[name, naming.kernel, naming.source, naming.uname, naming.deb, naming.rpm, emulator.program],
]);

const subjects: readonly Subject[] = [
  { what: 'a machine', home: 'platform/', pattern: namesPattern([...machineNames, 'ppc64', 'arm']) },
  {
    what: 'a number or type that one machine has',
    home: 'platform/',
    pattern:
      /\btype (?:===|!==) \d|0xffff_?ffff_?8|\bR_[A-Z0-9]+_[A-Z0-9]|\/dev\/(?:tty\w|hvc)|\bmachines: \[?\d|\be_machine === \d|\btty(?:S|AMA)\d/,
  },
  {
    what: 'a distribution',
    home: 'distro/',
    pattern: namesPattern([
      'debian',
      'ubuntu',
      'fedora',
      'rhel',
      'centos',
      'almalinux',
      'rocky',
      'red ?hat',
      'suse',
      'amzn',
    ]),
  },
];

/** Lines that may stay, by file: what they may contain, and why. */
const allowed: readonly (readonly [file: string, text: RegExp, reason: string])[] = [
  ['cli/examples.ts', /amd64|debian|Debian/, 'releases of a kernel, as people see them'],
  ['channel/package/deb.ts', /DEBIAN/, 'a folder of the package format'],
  [
    'sandbox/system-calls.ts',
    /machines: /,
    'formats/ needs the sandbox, and platform/ needs formats/; it is the machine that kpatch runs on',
  ],
  ['channel/follow/manager/apt.ts', /DEBIAN_FRONTEND/, 'an environment variable of debconf'],
  ['kbuild/include-graph.ts', /usr\|debian/, 'a folder of source packages that holds no code'],
  ['cli/channel/advisory.ts', /Debian:12/, 'an example in a help text'],
  ['cli/channel/channel-publish.ts', /Debian:12/, 'an example in a help text'],
];

/** The code of a line without its comment; our formatter leaves comments alone on their lines or after the code. */
function withoutComment(line: string): string {
  return line.replace(/^\s*(?:\*|\/\*|\/\/).*$/, '').replace(/\s\/\/ .*$/, '');
}

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith('test/') && !name.includes('node_modules/'))
  .sort();

interface Line {
  readonly place: string;
  readonly text: string;
}

function* linesOf(file: string): Iterable<Line> {
  const lines = readFileSync(join(root, file), 'utf8').split('\n');
  for (const [index, line] of lines.entries())
    yield { place: `packages/kpatch/${file}:${index + 1}`, text: withoutComment(line) };
}

function isAllowed(file: string, text: string, used: Set<number>): boolean {
  const index = allowed.findIndex(
    ([name, pattern]) =>
      (name === file ||
        (name.includes('*') && file.startsWith(name.split('*')[0]!) && file.endsWith(name.split('*')[1]!))) &&
      pattern.test(text),
  );
  used.add(index);
  return index >= 0;
}

/**
 * Every line outside the folders that mentions what it should not, and every entry of the list that nothing needs any more.
 */
function check(): number {
  let wrong = 0;
  const used = new Set<number>();
  for (const file of files) {
    for (const { place, text } of linesOf(file)) {
      const found = subjects.find(({ home, pattern }) => !file.startsWith(home) && pattern.test(text));
      if (found === undefined || isAllowed(file, text, used)) continue;
      console.error(`${place}: names ${found.what} outside of ${found.home}: ${text.trim().slice(0, 100)}`);
      wrong++;
    }
  }
  for (const [index, [file, text]] of allowed.entries()) {
    if (used.has(index)) continue;
    console.error(`tools/names.ts: nothing in ${file} matches ${text} any more; take it off the list`);
    wrong++;
  }
  return wrong;
}

/** Lines outside of a machine's own folder that name it: what a new machine needs there. `machine` is any of its names. */
export function linesOutside(machine: string): Line[] {
  const found = platforms().find(({ naming, name }) => [name, ...Object.values(naming)].includes(machine));
  if (found === undefined) throw new Error(`no machine is called ${machine}`);
  const { name, naming, emulator } = found;
  const names = namesPattern([name, naming.uname, naming.deb, naming.rpm, naming.source, emulator.program]);
  const number = new RegExp(`\\bmachines: \\[(?:\\d+, )*${found.machine}\\b`);
  const own = `platform/${folderOf(found)}/`;
  const outside = files.filter((file) => !file.startsWith(own));
  return outside.flatMap((file) => [...linesOf(file)].filter(({ text }) => names.test(text) || number.test(text)));
}

/** The folder that platform/records.ts takes a machine's record from. */
function folderOf(platform: Platform): string {
  return records.find((record) => record.load() === platform)?.folder ?? '';
}

if (import.meta.main) {
  const [option, machine] = process.argv.slice(2);
  if (option === '--outside' && machine !== undefined) {
    const lines = linesOutside(machine);
    for (const { place, text } of lines) console.log(`${place}: ${text.trim()}`);
    console.log(`${lines.length} ${lines.length === 1 ? 'line' : 'lines'} outside of the folder of ${machine}`);
  } else process.exitCode = check() === 0 ? 0 : 1;
}
