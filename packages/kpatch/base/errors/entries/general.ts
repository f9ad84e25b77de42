import { table } from '../entry.ts';

/** Errors that can occur anywhere. */
export const generalErrors = table({
  usage: {
    exit: 2,
    what: '{problem}',
    why: '',
    fix: 'run `kpatch help`',
  },
  'tool-missing': {
    exit: 1,
    what: 'the program `{tool}` is not installed',
    why: '',
    fix: 'install it: apt-get install {package}',
  },
  'tool-failed': {
    exit: 1,
    what: '`{command}` ended with {outcome}',
    why: '',
    fix: 'read its output below',
  },
  'file-unreadable': {
    exit: 1,
    what: 'cannot read {file}: {reason}',
    why: '',
    fix: 'check the path and its permissions',
  },
  'file-unwritable': {
    exit: 1,
    what: 'cannot write {file}: {reason}',
    why: 'the result was not saved; any existing file is unchanged',
    fix: 'check the path, its permissions and the filesystem',
  },
  'folder-owner': {
    exit: 2,
    what: '{folder} belongs to {owner}, and you are root',
    why: '{owner} could not change the files that root writes there, and could make root write elsewhere',
    fix: 'run the command as {owner}: runuser -u {owner} -- COMMAND',
  },
  'disk-full': {
    exit: 1,
    what: 'no space left on the device while writing {file}',
    why: 'the incomplete file was removed; any existing file is unchanged',
    fix: 'free some space and run the command again; `kpatch cache list` shows what kpatch itself keeps, `kpatch cache prune` removes it',
  },
  'timed-out': {
    exit: 1,
    what: '`{command}` did not finish within {seconds} s',
    why: 'kpatch stopped it',
    fix: 'run it by hand to see why it hangs, or raise the timeout',
  },
  'output-too-large': {
    exit: 1,
    what: '`{command}` printed more than {bytes} bytes',
    why: 'kpatch stopped it, because a damaged or malicious file can unpack to more data than fits into memory',
    fix: 'check where the file comes from',
  },
  interrupted: {
    exit: 1,
    what: 'interrupted by {signal}',
    why: 'kpatch has undone what it had started',
    fix: 'run the command again when you are ready',
  },
  locked: {
    exit: 1,
    what: 'another kpatch is using {what}',
    why: "two at once could undo each other's work",
    fix: 'wait until it has finished, then run the command again',
  },
  internal: {
    exit: 1,
    what: 'internal error: {problem}',
    why: 'this is a bug in kpatch, not a fault in your input',
    fix: 'report it with the command line and the text below',
  },
});
