import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { jsonText } from '#kpatch/base/print.ts';
import { consoleReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import { isPlainText, printable, printableLine } from '#kpatch/base/text/printable.ts';
import { scanTasks } from '#kpatch/host/live/tasks.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { moduleFileOf } from '#kpatch/host/store/module-file.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, moduleBytes } from './fake.ts';

const program = join(import.meta.dirname, '../../../../bin/kpatch');
/** Clears the screen, turns the direction of the rest of the line, ends the line. */
const evil = '\u001b[2Jred\u202egreen\u2066\nsigned: by Debian\u009b31m';
const steering = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

test('text keeps its lines and letters and loses what steers a terminal', () => {
  assert.equal(printable('a\tb\r\nc\u001b[1m é 日本'), 'a\tb\nc\ufffd[1m é 日本');
  assert.equal(printableLine('a\nb\u202ec'), 'a b\ufffdc');
  assert.equal(isPlainText('a b é 日本'), true);
  for (const text of ['a\nb', 'a\u202eb', 'a\u0085b', 'a\u2028b', '\ufeffa']) assert.equal(isPlainText(text), false);
  const value = { a: evil };
  assert.doesNotMatch(jsonText(value), steering);
  assert.deepEqual(JSON.parse(jsonText(value)), value);
});

test('nothing writes to the terminal but base/print.ts, base/report.ts and the live view of a proof', () => {
  const source = join(import.meta.dirname, '../..');
  const writers = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/^(test|node_modules)\//.test(file))
    .filter((file) =>
      /process\.(stdout|stderr)\.write|console\.(log|error)/.test(readFileSync(join(source, file), 'utf8')),
    );
  assert.deepEqual(writers.sort(), ['base/errors/document.ts', 'base/print.ts', 'base/process/cleanup.ts']);
});

const fields = ['name', 'release', 'tool', 'line', 'cves', 'functions', 'patches'] as const;
attack(
  {
    area: 'text',
    attacker: 'patch author',
    how: `newlines, escapes and direction marks in the manifest (${fields.join(', ')}) to forge lines of kpatch info`,
  },
  async () => {
    for (const field of fields) {
      const value =
        field === 'cves'
          ? [evil]
          : field === 'functions'
            ? [{ name: evil, object: 'vmlinux', sympos: 0, patches: [] }]
            : field === 'patches'
              ? [{ name: evil, sha256: '' }]
              : evil;
      const bytes = moduleBytes({ name: 'one', manifest: { [field]: value } });
      await provokes('manifest-damaged', () => moduleFileOf(bytes, 'one.ko'));
    }
    return provokes('manifest-damaged', () => {
      moduleFileOf(moduleBytes({ name: 'one', manifest: { tool: evil } }), 'one.ko');
    });
  },
);

attack(
  { area: 'text', attacker: 'patch author', how: 'newlines and escapes in the modinfo of a module without a manifest' },
  () => {
    const bytes = moduleBytes({ name: 'one', manifest: false, filling: `x\0description=${evil}` });
    return provokes('module-not-livepatch', () => moduleFileOf(bytes, 'one.ko'));
  },
);

attack(
  {
    area: 'text',
    attacker: 'local user',
    how: 'a task named with escape sequences blocks a transition while root watches',
  },
  () => {
    using machine = new FakeMachine();
    machine.set('proc/7/task/7/stat', `7 (${evil.slice(0, 14)}) S 1 1 1 0 -1 4194560 0 0`);
    machine.set('proc/7/task/7/patch_state', '0');
    const [task] = scanTasks(machine, 1).remaining();
    assert.doesNotMatch(task?.command ?? evil, steering);
    let seen = '';
    const stream = { isTTY: true, columns: 200, write: (text: string) => (seen += text) };
    const report = consoleReporter(stream as unknown as NodeJS.WriteStream);
    report.note(evil);
    // What the reporter itself writes is "erase this line".
    assert.doesNotMatch(seen.replaceAll('\r\u001b[2K', ''), steering);
    return 'the name is cleaned where /proc is read, and the reporter cleans every line again';
  },
);

attack(
  {
    area: 'text',
    attacker: 'patch author',
    how: 'a file name with escapes and direction marks, shown as text and as JSON',
  },
  async () => {
    for (const json of [[], ['--json']]) {
      const { stdout, stderr } = await run(program, ['info', `/nowhere/${evil}.ko`, ...json]);
      assert.doesNotMatch(`${stdout}${stderr}`, steering);
    }
    return 'base/print.ts replaces the characters in text and escapes them in JSON';
  },
);

attack(
  {
    area: 'text',
    attacker: 'local user',
    how: 'a newline in a text that goes to the journal, to forge a second field',
  },
  async () => {
    using folder = temporaryFolder('kpatch-journal-');
    const log = join(folder.path, 'log');
    writeFileSync(join(folder.path, 'logger'), `#!/bin/sh\ncat > '${log}'\n`, { mode: 0o755 });
    const { PATH } = process.env;
    process.env.PATH = `${folder.path}:${PATH}`;
    try {
      await thisMachine().control.journal({ MESSAGE: `fine\nKPATCH_OUTCOME=loaded${evil}`, PRIORITY: '5' });
    } finally {
      process.env.PATH = PATH;
    }
    const written = readFileSync(log, 'utf8');
    assert.match(written, /^MESSAGE=fine KPATCH_OUTCOME=loaded[^\n]*\nPRIORITY=5\n$/);
    assert.doesNotMatch(written, steering);
    return 'each journal field is written as one cleaned line';
  },
);
