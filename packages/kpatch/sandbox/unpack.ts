/** Unpacks archives of other people into a folder: in the sandbox, and no more files than anything real has. */
import { mkdirSync } from 'node:fs';
import { failure } from '../base/errors/error.ts';
import { saysDiskFull } from '../base/files.ts';
import { packageOf } from '../base/process/tools.ts';
import { sandboxed } from './sandbox.ts';
import { giveFolder } from './user.ts';

/** What is unpacked, and by what. */
export interface Unpacking {
  /** The archives; the pipeline finds them from `$2` on. */
  readonly archives: readonly string[];
  /**
   * A pipeline of bash that unpacks into the folder `$1`. It ends in `| counted`, which reads one line for each file that
   * was unpacked. cpio lists files where it complains; `counted` tells them apart.
   */
  readonly pipeline: string;
  /** Files and folders that one archive may have. */
  readonly most: number;
}

/** A package of a kernel, of its headers or of a compiler has at most about 25,000. */
export const packageEntries = 200_000;
/** The source of Linux 7 has about 100,000. */
export const sourceEntries = 500_000;

const marker = 'kpatch: too many entries';

/** The function `counted` of bash: it ends, and with it the program that unpacks, where there are too many lines. */
function counter(most: number): string {
  const messages = '/^(cpio|bash|unpack): /{print > "/dev/stderr"}';
  const many = `NR > ${most}{print "${marker}" > "/dev/stderr"; exit 3}`;
  return `counted() { awk '${messages} ${many}'; }; export -f counted`;
}

/**
 * Unpacks into `root`; what is there then belongs to the user of the sandbox. None of a package's scripts runs.
 * Errors: `archive-too-large`, `disk-full`, `tool-missing`, `tool-failed`.
 */
export async function unpackInto(root: string, { archives, pipeline, most }: Unpacking): Promise<void> {
  mkdirSync(root, { recursive: true });
  giveFolder(root);
  const script = `set -o pipefail; ${counter(most)}; ${pipeline}`;
  const { status, stderr } = await sandboxed('bash', ['-c', script, 'unpack', root, ...archives], {
    view: { readOnly: archives, writable: [root] },
  });
  if (status === 0) return;
  const [first = ''] = archives;
  if (stderr.split('\n').includes(marker))
    throw failure('archive-too-large', {
      file: archives.length === 1 ? first : `one of ${archives.length} packages`,
      most,
    });
  // Programs in a pipeline have no status of their own for these.
  if (saysDiskFull(stderr)) throw failure('disk-full', { file: root });
  const absent = /([\w-]+): (?:command )?not found/.exec(stderr)?.[1];
  if (absent !== undefined) throw failure('tool-missing', { tool: absent, package: packageOf(absent) });
  throw failure(
    'tool-failed',
    { command: `unpack ${archives.join(' ')}`, outcome: `status ${status}` },
    { detail: stderr },
  );
}
