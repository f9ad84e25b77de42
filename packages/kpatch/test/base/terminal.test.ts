import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '#kpatch/base/errors/error.ts';
import { errorLines, renderError } from '#kpatch/base/errors/render.ts';
import { line, plainText, render, span, terminalOf } from '#kpatch/base/text/terminal.ts';

test('a stream that is no terminal, a dumb one, and one without a size', () => {
  const infinite = Number.POSITIVE_INFINITY;
  assert.deepEqual(terminalOf({}, { TERM: 'xterm' }), { interactive: false, colours: false, width: infinite });
  const dumb = terminalOf({ isTTY: true, columns: 100 }, { TERM: 'dumb' });
  assert.deepEqual(dumb, { interactive: false, colours: false, width: 100 });
  // A serial console reports 0 columns.
  assert.equal(terminalOf({ isTTY: true, columns: 0 }, { TERM: 'vt220' }).width, infinite);
  assert.equal(terminalOf({ isTTY: true, columns: 3 }, { TERM: 'xterm' }).width, 20);
  assert.equal(terminalOf({ isTTY: true, columns: 90 }, { TERM: 'xterm', NO_COLOR: '1' }).colours, false);
});

test('a long line continues below its text, is broken at spaces, and a long word stays whole', () => {
  const terminal = { interactive: true, colours: false, width: 24 };
  const text = line([span('strong', '  do:    '), 'install it now: apt-get install /a/very/long/path/name'], 9);
  assert.equal(
    render([text], terminal),
    '  do:    install it now:\n         apt-get install\n         /a/very/long/path/name',
  );
});

test('colours wrap the text of their role only, and control characters of the text do not reach the terminal', () => {
  const terminal = { interactive: true, colours: true, width: 80 };
  assert.equal(render([line(['a ', span('bad', 'b\x1b[2J')])], terminal), 'a \x1b[31mb\ufffd[2J\x1b[0m');
});

test('an error is the same text with and without a terminal, apart from colours and line breaks', () => {
  const error = failure('file-unwritable', { file: 'x.ko', reason: 'EROFS' }, { detail: '-old\n+new' });
  assert.equal(plainText(errorLines(error)), renderError(error));
  const coloured = render(errorLines(error), { interactive: true, colours: true, width: 60 });
  assert.match(coloured, /\x1b\[31mkpatch: \x1b\[0m\x1b\[1mcannot write x\.ko: EROFS/);
  assert.match(coloured, /\x1b\[32m\+new/);
  const bare = coloured.replace(/\x1b\[[\d;]*m/g, '');
  assert.ok(
    bare.split('\n').every((row) => row.length <= 60),
    bare,
  );
  assert.match(bare, /\n {2}why: {3}the result was not saved; any existing file is\n {9}unchanged\n/);
});
