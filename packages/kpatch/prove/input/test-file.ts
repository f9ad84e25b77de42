/** A file that the author's test needs in the guest; of a program that is linked dynamically its libraries too. */
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { basename, dirname, posix, resolve } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { KpatchError } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';

export interface TestFile {
  /** Its path in the guest. */
  readonly path: string;
  /** Its path on this machine. */
  readonly from: string;
  readonly mode: number;
  readonly sha256: string;
}

/**
 * Reads a declaration `PATH` or `PATH as GUEST-PATH`. PATH is beside the script; in the guest it is in the folder that the test
 * begins in, unless told. `wrong` makes the error of a declaration that cannot be followed.
 */
export function readTestFile(declaration: string, script: string, wrong: (problem: string) => Error): TestFile[] {
  const [, path = '', given] = /^(.*?)(?:\s+as\s+(\S+))?$/.exec(declaration) ?? [];
  if (path === '') throw wrong('it names no file');
  const from = resolve(dirname(script), path);
  const inside = given ?? `/root/${basename(path)}`;
  if (!inside.startsWith('/') || posix.normalize(inside) !== inside || inside.endsWith('/'))
    throw wrong(`"${inside}" is not an absolute path of a file`);
  return [
    testFile(from, inside, wrong),
    ...librariesOf(from, wrong).map((library) => testFile(library, library, wrong)),
  ];
}

function testFile(from: string, path: string, wrong: (problem: string) => Error): TestFile {
  try {
    return { path, from, mode: statSync(from).mode & 0o777, sha256: sha256(readBytes(from)) };
  } catch (error) {
    const why = error instanceof KpatchError ? (error.detail ?? error.message) : (error as Error).message;
    throw wrong(`${from} cannot be read: ${why}`);
  }
}

/** The shared libraries of a program, and their loader, as ldd(1) finds them on this machine. */
function librariesOf(from: string, wrong: (problem: string) => Error): string[] {
  const { stdout, status } = spawnSync('ldd', [from], { encoding: 'utf8', timeout: 30_000 });
  // What is no program, and a static one, is "not a dynamic executable", status 1.
  if (status !== 0) return [];
  const missing = /^\s*(\S+) => not found/m.exec(stdout)?.[1];
  if (missing !== undefined) throw wrong(`${from} needs ${missing}, which is not on this machine`);
  return [...stdout.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, library]) => library!);
}
