/**
 * `create-klp-module`: a replacement for the program of that name in dynup/kpatch, for build scripts that call it. It turns
 * the intermediate sections of a linked module into livepatch relocations and symbols.
 */
import { basename } from 'node:path';
import { failure, KpatchError } from '../base/errors/error.ts';
import { renderError } from '../base/errors/render.ts';
import { readBytes, writeAtomically } from '../base/files.ts';
import { print, printError } from '../base/print.ts';
import { readObject } from '../formats/elf/read-object.ts';
import { writeObject } from '../formats/elf/write-object.ts';
import { readKernelRelocations } from '../module/intermediate.ts';
import { dropSections, makeLivepatchRelocations } from '../module/make/klp.ts';
import { makeArchSections } from './klp-arch.ts';

/** 0 done, 1 failed, 64 wrong usage, as with argp (EX_USAGE of sysexits.h). */
const EXIT = { done: 0, failed: 1, usage: 64 } as const;

const usage = 'Usage: create-klp-module [-dn] [--debug] [--no-klp-arch-sections] input.ko output.ko';
const help = `${usage}

  -d, --debug                  say what was made
  -n, --no-klp-arch-sections   do not make sections .klp.arch.* (Linux 5.8 and later have no use for them)
  -?, --help                   show this
`;

interface Options {
  readonly debug: boolean;
  readonly arch: boolean;
  readonly files: readonly string[];
}

/** The parsed command line; undefined for wrong usage, `help` if help is requested. */
function parse(argv: readonly string[]): Options | 'help' | undefined {
  const files: string[] = [];
  const flags = new Set<string>();
  let plain = false;
  for (const word of argv) {
    if (plain || !word.startsWith('-') || word === '-') files.push(word);
    else if (word === '--') plain = true;
    else if (word === '--debug') flags.add('d');
    else if (word.length > 4 && '--no-klp-arch-sections'.startsWith(word)) flags.add('n');
    else if (word === '--help' || word === '-?') return 'help';
    else if (/^-[dn]+$/.test(word)) for (const letter of word.slice(1)) flags.add(letter);
    else return undefined;
  }
  return files.length === 2 ? { debug: flags.has('d'), arch: !flags.has('n'), files } : undefined;
}

/** Runs the program and returns its exit status. PARA_STRUCT_SIZE in `environment` is the size of a paravirt patch entry. */
export function createKlpModule(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): number {
  const options = parse(argv);
  if (options === 'help') {
    print(help);
    return EXIT.done;
  }
  if (options === undefined) {
    printError(`${usage}\nTry \`create-klp-module --help' for more information.\n`);
    return EXIT.usage;
  }
  const [input = '', output = ''] = options.files;
  try {
    const object = readObject(readBytes(input), input);
    for (const name of ['.kpatch.strings', '.kpatch.symbols', '.kpatch.relocations']) {
      if (object.sections.some((section) => section.name === name)) continue;
      throw failure('intermediate-malformed', { file: input, problem: `missing ${name}` }, { where: { file: input } });
    }
    const tables = object.sections.filter(({ name }) => name.startsWith('.kpatch.')).map(({ name }) => name);
    if (options.arch) makeArchSections(object, { '.parainstructions': paravirtSize(environment) });
    // With .klp.arch the module is for a kernel before 5.8, which allows more references.
    const relocations = readKernelRelocations(object);
    makeLivepatchRelocations(object, relocations, options.arch ? { major: 5, minor: 7 } : { major: 6, minor: 1 });
    dropSections(object, ({ name }) => /^\.kpatch\.(symbols|relocations|arch)$/.test(name));
    if (options.debug) print(`${describe(object.sections, tables)}\n`);
    writeAtomically(output, writeObject(object), 0o664);
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    printError(`ERROR: ${basename(input)}: ${renderError(error)}\n`);
    return EXIT.failed;
  }
}

function paravirtSize(environment: Readonly<Record<string, string | undefined>>): number {
  const text = environment.PARA_STRUCT_SIZE ?? '16';
  const size = Number(text);
  if (Number.isInteger(size) && size > 0 && size <= 4096) return size;
  throw failure('usage', { problem: `PARA_STRUCT_SIZE=${text} is not a size in bytes` });
}

function describe(
  sections: readonly { name: string; relocations: readonly unknown[] }[],
  read: readonly string[],
): string {
  const made = sections.filter(({ name }) => name.startsWith('.klp.'));
  const lines = made.map(({ name, relocations }) => `DEBUG: ${name}: ${relocations.length} relocations`);
  return [`DEBUG: read ${read.join(' ')}`, ...lines].join('\n');
}

if (import.meta.main) process.exitCode = createKlpModule(process.argv.slice(2), process.env);
