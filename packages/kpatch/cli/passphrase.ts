/** Passphrases of keys: from a file, a file descriptor or the terminal; never from the command line or the environment. */
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import type { Command } from 'commander';
import { failure } from '../base/errors/error.ts';
import { reasonOf } from '../base/files.ts';
import { onExit } from '../base/process/cleanup.ts';
import { printable } from '../base/text/printable.ts';
import type { PassphraseOf } from '../channel/tuf/key.ts';

export interface PassphraseOptions {
  readonly passphraseFile?: string;
  readonly passphraseFd?: string;
}

/** Longest passphrase in bytes: what the library takes. */
const LIMIT = 1024;
/** Shortest passphrase of a new key, in characters. */
const LEAST = 12;

export function withPassphrase(command: Command): Command {
  return command
    .option('--passphrase-file <file>', 'read the passphrase of an encrypted key from the first line of this file')
    .option('--passphrase-fd <number>', 'read it from this file descriptor (default: ask on the terminal)');
}

/** How the command gets passphrases. One that is read from a file or descriptor opens all keys. */
export function passphraseOf({ passphraseFile, passphraseFd }: PassphraseOptions): PassphraseOf {
  if (passphraseFile === undefined && passphraseFd === undefined)
    return (key) => onTerminal(key, `Passphrase of ${printable(key)}: `);
  let read: string | undefined;
  return (key) => {
    read ??= firstLine(key, passphraseFile, passphraseFd);
    return read;
  };
}

/** The passphrase of a key that is to be made; on the terminal it is asked for twice. Error: `tuf-passphrase`. */
export function newPassphrase(file: string, options: PassphraseOptions): string {
  const given = passphraseOf(options)(file);
  const wrong = (problem: string): Error => failure('tuf-passphrase', { file, problem });
  if ([...given].length < LEAST) throw wrong(`it has fewer than ${LEAST} characters`);
  const asked = options.passphraseFile === undefined && options.passphraseFd === undefined;
  if (asked && onTerminal(file, 'The same again: ') !== given) throw wrong('the two do not agree');
  return given;
}

function firstLine(key: string, file: string | undefined, descriptor: string | undefined): string {
  const wrong = (problem: string): Error => failure('tuf-passphrase', { file: key, problem });
  if (file !== undefined && descriptor !== undefined)
    throw wrong('give --passphrase-file or --passphrase-fd, not both');
  if (descriptor !== undefined && !/^(?:0|[3-9]|[1-9]\d{1,5})$/.test(descriptor))
    throw wrong('--passphrase-fd needs the number of an open file descriptor');
  try {
    if (file === undefined) return lineOf(Number(descriptor));
    const fd = openSync(file, 'r');
    try {
      const stat = fstatSync(fd);
      if (stat.isFile() && (stat.mode & 0o077) !== 0) throw new Error(`others can read ${file} (chmod go-rwx)`);
      return lineOf(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw failure('tuf-passphrase', { file: key, problem: reasonOf(error) }, { cause: error });
  }
}

/** Asks on the terminal, without showing what is typed. */
function onTerminal(key: string, question: string): string {
  const stty = (word: string): boolean => spawnSync('stty', ['-F', '/dev/tty', word], { stdio: 'ignore' }).status === 0;
  let fd: number;
  try {
    fd = openSync('/dev/tty', 'r+');
  } catch {
    throw failure('tuf-passphrase', { file: key, problem: 'there is no terminal to ask for it' });
  }
  const forget = onExit(() => void stty('echo'));
  try {
    if (!stty('-echo')) throw new Error('the terminal cannot hide what is typed');
    writeSync(fd, question);
    return lineOf(fd);
  } catch (error) {
    throw failure('tuf-passphrase', { file: key, problem: reasonOf(error) }, { cause: error });
  } finally {
    stty('echo');
    writeSync(fd, '\n');
    closeSync(fd);
    forget();
  }
}

/** The first line of an open file. Throws an `Error` for an empty or endless one. */
function lineOf(fd: number): string {
  const bytes = Buffer.alloc(LIMIT + 2);
  let length = 0;
  while (length < bytes.length && !bytes.subarray(0, length).includes(10)) {
    const count = readSync(fd, bytes, length, 1, null);
    if (count === 0) break;
    length += count;
  }
  const end = bytes.subarray(0, length).indexOf(10);
  const line = bytes
    .subarray(0, end < 0 ? length : end)
    .toString('utf8')
    .replace(/\r$/, '');
  if (line === '') throw new Error('it is empty');
  if (Buffer.byteLength(line) > LIMIT) throw new Error(`it is longer than ${LIMIT} bytes`);
  return line;
}
