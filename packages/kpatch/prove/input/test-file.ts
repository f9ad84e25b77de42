/** A file that the author's test needs in the guest, with its shared libraries if it is a dynamically linked program. */
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
 * Reads a declaration `PATH` or `PATH as GUEST-PATH`. PATH is relative to the script. Without GUEST-PATH the file is in the
 * folder in which the test starts. `wrong` creates the error for an invalid declaration.
 */
export function readTestFile(declaration: string, script: string, wrong: (problem: string) => Error): TestFile[] {
  const [, path = '', given] = /^(.*?)(?:\s+as\s+(\S+))?$/.exec(declaration) ?? [];
  if (path === '') throw wrong('it does not name a file');
  const from = resolve(dirname(script), path);
  const inside = given ?? `/root/${basename(path)}`;
  if (!inside.startsWith('/') || posix.normalize(inside) !== inside || inside.endsWith('/'))
    throw wrong(`"${inside}" is not the absolute path of a file`);
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
    throw wrong(`cannot read ${from}: ${why}`);
  }
}

/** The shared libraries and the loader of a program, as found by ldd(1) on this machine. */
function librariesOf(from: string, wrong: (problem: string) => Error): string[] {
  const { stdout, status } = spawnSync('ldd', [from], { encoding: 'utf8', timeout: 30_000 });
  // For a static program and anything else ldd prints "not a dynamic executable" and exits with status 1.
  if (status !== 0) return [];
  const missing = /^\s*(\S+) => not found/m.exec(stdout)?.[1];
  if (missing !== undefined) throw wrong(`${from} needs ${missing}, which this machine does not have`);
  return [...stdout.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, library]) => library!);
}
