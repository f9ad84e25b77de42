/** A file that the author's test needs in the guest, with its shared libraries if it is a dynamically linked program. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, posix, resolve } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { KpatchError } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { sandboxedSync } from '../../sandbox/sandbox.ts';
import { isToolchain } from '../../sandbox/view.ts';

export interface TestFile {
  /** Its path in the guest. */
  readonly path: string;
  /** Its path on this machine. */
  readonly from: string;
  readonly mode: number;
  readonly sha256: string;
}

/**
 * Reads a declaration `PATH` or `PATH as GUEST-PATH`. PATH is below the script's folder; in the guest it is in the folder
 * that the test starts, unless GUEST-PATH is given. `wrong` makes the error of a declaration that cannot be followed.
 */
export function readTestFile(declaration: string, script: string, wrong: (problem: string) => Error): TestFile[] {
  const [, path = '', given] = /^(.*?)(?:\s+as\s+(\S+))?$/.exec(declaration) ?? [];
  if (path === '') throw wrong('it does not name a file');
  const from = resolve(dirname(script), path);
  requireBelow(dirname(script), from, wrong);
  const inside = given ?? `/root/${basename(path)}`;
  if (!inside.startsWith('/') || posix.normalize(inside) !== inside || inside.endsWith('/'))
    throw wrong(`"${inside}" is not the absolute path of a file`);
  return [
    testFile(from, inside, wrong),
    ...librariesOf(from, wrong).map((library) => testFile(library, library, wrong)),
  ];
}

/** An untrusted test must not copy other files of this machine into the guest, not even through a link. */
function requireBelow(folder: string, from: string, wrong: (problem: string) => Error): void {
  if (!existsSync(from)) throw wrong(`${from} cannot be read: there is no such file`);
  const real = realpathSync(from);
  if (!real.startsWith(`${realpathSync(folder)}/`)) throw wrong(`${from} is not below the folder of the script`);
}

function testFile(from: string, path: string, wrong: (problem: string) => Error): TestFile {
  try {
    return { path, from, mode: statSync(from).mode & 0o777, sha256: sha256(readBytes(from)) };
  } catch (error) {
    const why = error instanceof KpatchError ? (error.detail ?? error.message) : (error as Error).message;
    throw wrong(`cannot read ${from}: ${why}`);
  }
}

/**
 * The shared libraries of a program, and their loader, as ldd(1) finds them on this machine. ldd runs the loader that the
 * program names, so it works on a copy in a sandbox, and only libraries of the system are believed.
 */
function librariesOf(from: string, wrong: (problem: string) => Error): string[] {
  const script = 'cat > /tmp/program && chmod 755 /tmp/program && exec ldd /tmp/program';
  const { stdout, status } = sandboxedSync('sh', ['-c', script], { view: {}, input: readBytes(from) });
  // For a static program and anything else ldd prints "not a dynamic executable" and exits with status 1.
  if (status !== 0) return [];
  const missing = /^\s*(\S+) => not found/m.exec(stdout)?.[1];
  if (missing !== undefined) throw wrong(`${from} needs ${missing}, which this machine does not have`);
  const libraries = [...stdout.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, library]) => library!);
  const strange = libraries.find((library) => !existsSync(library) || !isToolchain(realpathSync(library)));
  if (strange !== undefined) throw wrong(`${from} needs ${strange}, which is not a library of this system`);
  return libraries;
}
