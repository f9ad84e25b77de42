import { table } from '../entry.ts';

/** Errors that any room can meet. */
export const generalErrors = table({
  usage: {
    exit: 2,
    what: '{problem}',
    why: 'the command line could not be understood, so nothing was done',
    fix: 'see `kpatch help` or `kpatch COMMAND --help`',
  },
  'tool-missing': {
    exit: 1,
    what: 'the program `{tool}` is not installed',
    why: 'kpatch calls it and cannot go on without it',
    fix: 'install it: apt-get install {package}',
  },
  'tool-failed': {
    exit: 1,
    what: '`{command}` ended with {outcome}',
    why: 'its result is needed for the next step',
    fix: 'read its own message below',
  },
  'file-unreadable': {
    exit: 1,
    what: 'cannot read {file}: {reason}',
    why: 'its content is needed',
    fix: 'check the path and its permissions',
  },
  'file-unwritable': {
    exit: 1,
    what: 'cannot write {file}: {reason}',
    why: 'the result could not be stored; what was there before is unchanged',
    fix: 'check the path, its permissions and the filesystem',
  },
  'disk-full': {
    exit: 1,
    what: 'no space is left while writing {file}',
    why: 'the result would be incomplete, so it was removed; what was there before is unchanged',
    fix: 'free some space (`kpatch kernel list` shows what the cache holds) and run the command again',
  },
  'timed-out': {
    exit: 1,
    what: '`{command}` did not end within {seconds} s',
    why: 'it was stopped so that nothing stays behind',
    fix: 'run it by hand to see why it hangs, or raise the deadline',
  },
  interrupted: {
    exit: 1,
    what: 'interrupted by {signal}',
    why: 'all that was begun has been undone; nothing is left behind',
    fix: 'run the command again when you like',
  },
  locked: {
    exit: 1,
    what: 'another kpatch is at work on {what}',
    why: 'two at once could undo each other',
    fix: 'wait until it has ended, then run the command again',
  },
  internal: {
    exit: 1,
    what: 'kpatch met a state that it does not know: {problem}',
    why: 'this is a defect of kpatch, not of your input',
    fix: 'report it with the command line and the text below',
  },
});
