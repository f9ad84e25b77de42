/** The command line of `kpatch-build` of dynup/kpatch: options, conflicts, and usage text. */
import { existsSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface KpatchBuildOptions {
  readonly patches: readonly string[];
  readonly archversion?: string;
  readonly sourcerpm?: string;
  readonly sourcedir?: string;
  readonly config?: string;
  readonly vmlinux?: string;
  readonly jobs?: number;
  readonly name?: string;
  /** The folder for the module. */
  readonly output: string;
  readonly debug: number;
  readonly ootModule?: string;
  readonly ootModuleSrc?: string;
  readonly replace: boolean;
  readonly skipCleanup: boolean;
  readonly skipCompilerCheck: boolean;
  /** Not of dynup/kpatch: `--no-sandbox`. */
  readonly noSandbox: boolean;
}

/** Ends `kpatch-build` with a message; with `usage` the usage text follows. */
export class Ending extends Error {
  readonly usage: boolean;
  readonly status: number;

  constructor(message: string, ending: { usage?: boolean; status?: number } = {}) {
    super(message);
    this.usage = ending.usage ?? false;
    this.status = ending.status ?? 1;
  }
}

const options = {
  help: { type: 'boolean', short: 'h' },
  archversion: { type: 'string', short: 'a' },
  sourcerpm: { type: 'string', short: 'r' },
  sourcedir: { type: 'string', short: 's' },
  config: { type: 'string', short: 'c' },
  vmlinux: { type: 'string', short: 'v' },
  jobs: { type: 'string', short: 'j' },
  target: { type: 'string', short: 't', multiple: true },
  name: { type: 'string', short: 'n' },
  output: { type: 'string', short: 'o' },
  debug: { type: 'boolean', short: 'd', multiple: true },
  'oot-module': { type: 'string' },
  'oot-module-src': { type: 'string' },
  'non-replace': { type: 'boolean', short: 'R' },
  'skip-cleanup': { type: 'boolean' },
  'skip-gcc-check': { type: 'boolean' },
  'skip-compiler-check': { type: 'boolean' },
  'no-sandbox': { type: 'boolean' },
} as const;

export const usageText = `usage: kpatch-build [options] <patch1 ... patchN>
    patchN                  source patches, applied in this order
    -h, --help              show this
    -a, --archversion       the kernel, as uname -r
    -r, --sourcerpm         source RPM of the kernel
    -s, --sourcedir         a source folder in which the kernel was built
    -c, --config            configuration of the kernel
    -v, --vmlinux           vmlinux of the kernel
    -j, --jobs              compilers at once
    -t, --target            accepted; only what the patches reach is built
    -n, --name              name of the module
    -o, --output            folder for the module
    -d, --debug             say more, keep intermediate files (may be repeated)
    --oot-module            patch a module from outside of the kernel: its .ko
    --oot-module-src        the source folder of that module
    -R, --non-replace       do not replace the live patches that are loaded
    --skip-cleanup          keep intermediate files
    --skip-compiler-check   accept another compiler (not recommended)
    --no-sandbox            run the compiler with all your rights (dangerous)
`;

/** GNU getopt accepts any unambiguous prefix of a long option. */
function completed(word: string): string {
  const [, given = '', rest = ''] = /^--([^=]+)(=.*)?$/s.exec(word) ?? [];
  if (given === '') return word;
  const names = Object.keys(options);
  if (names.includes(given)) return word;
  const fitting = names.filter((name) => name.startsWith(given));
  if (fitting.length > 1) throw new Ending(`option '--${given}' is ambiguous`);
  return fitting.length === 1 ? `--${fitting[0]}${rest}` : word;
}

/** Reads the command line. Throws `Ending`; for `--help` with status 0. */
export function parseOptions(argv: readonly string[]): KpatchBuildOptions {
  const { values, positionals } = parse(argv);
  if (values.help === true) throw new Ending('', { usage: true, status: 0 });
  const file = (path: string | undefined, what: string): { path?: string } => {
    if (path === undefined) return {};
    if (!existsSync(path) || statSync(path).isDirectory()) throw new Ending(`${what} '${path}' not found`);
    return { path: resolve(path) };
  };
  const folder = (path: string | undefined, what: string): { path?: string } => {
    if (path === undefined) return {};
    if (!existsSync(path) || !statSync(path).isDirectory()) throw new Ending(`${what} '${path}' not found`);
    return { path: resolve(path) };
  };
  const sourcerpm = file(values.sourcerpm, 'source rpm').path;
  const sourcedir = folder(values.sourcedir, 'source dir').path;
  const config = file(values.config, 'config file').path;
  const vmlinux = file(values.vmlinux, 'vmlinux file').path;
  const ootModule = file(values['oot-module'], 'out-of-tree module').path;
  const ootModuleSrc = folder(values['oot-module-src'], 'out-of-tree module source dir').path;
  const output = folder(values.output, 'output dir').path ?? process.cwd();
  const patches = positionals.map((patch) => file(patch, 'patch file').path!);
  if (patches.length === 0) throw new Ending('no patch file(s) specified', { usage: true });
  const { archversion, name } = values;
  if (archversion !== undefined) {
    const other = Object.entries({ vmlinux, sourcerpm, sourcedir }).find(([, value]) => value !== undefined)?.[0];
    if (other !== undefined) throw new Ending(`--archversion is incompatible with --${other}`);
  }
  if (ootModule !== undefined && ootModuleSrc === undefined) throw new Ending('--oot-module requires --oot-module-src');
  return {
    patches,
    ...given({ archversion, sourcerpm, sourcedir, config, vmlinux, ootModule, ootModuleSrc }),
    ...(values.jobs === undefined ? {} : { jobs: jobsOf(values.jobs) }),
    ...(name === undefined ? {} : { name: moduleName(name) }),
    output,
    debug: values.debug?.length ?? 0,
    replace: values['non-replace'] !== true,
    skipCleanup: values['skip-cleanup'] === true,
    noSandbox: values['no-sandbox'] === true,
    skipCompilerCheck: values['skip-compiler-check'] === true || values['skip-gcc-check'] === true,
  };
}

function parse(
  argv: readonly string[],
): ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>> {
  const end = argv.indexOf('--');
  const words = argv.map((word, index) => (end >= 0 && index >= end ? word : completed(word)));
  try {
    return parseArgs({ args: words, options, allowPositionals: true });
  } catch (error) {
    throw new Ending(`getopt failed: ${error instanceof Error ? error.message.split('.')[0] : String(error)}`);
  }
}

function given<T extends Record<string, string | undefined>>(values: T): { [K in keyof T]?: string } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: string;
  };
}

function jobsOf(text: string): number {
  const jobs = Number(text);
  if (Number.isSafeInteger(jobs) && jobs > 0) return jobs;
  throw new Ending(`Invalid number of make jobs '${text}'`);
}

/** The name as `kpatch-build` derives it: other characters become `-`, and it has at most 48 characters. */
export function moduleName(text: string): string {
  return text.replace(/[^a-zA-Z0-9_-]/g, '-').slice(0, 48);
}

/** The default name of the module: from the only patch, or `livepatch-patch`. */
export function defaultName(patches: readonly string[]): string {
  const stem = patches.length === 1 ? basename(patches[0]!).replace(/\.(patch|diff)$/, '') : 'patch';
  return moduleName(`livepatch-${stem}`);
}
