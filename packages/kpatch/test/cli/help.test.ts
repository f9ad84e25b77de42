import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Command } from 'commander';
import { commands } from '#kpatch/cli/commands.ts';
import { examples, examplesOf } from '#kpatch/cli/examples.ts';

const program = join(import.meta.dirname, '../../../../bin/kpatch');

function kpatch(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('wrong usage shows the usage line of the command that was given', () => {
  const cases: [string[], RegExp, string, string][] = [
    [['build'], /missing required argument 'patch'/, 'kpatch build [options] <patch...>', 'kpatch build'],
    [['build', '--kernle', 'x', 'y'], /Did you mean --kernel\?/, 'kpatch build [options] <patch...>', 'kpatch build'],
    [['load'], /give a patch or --all/, 'kpatch load [options] [PATCH]', 'kpatch load'],
    [['kernel', 'show'], /missing required/, 'kpatch kernel show [options] <RELEASE>', 'kpatch kernel show'],
    [['kernel'], /needs a command: add, list, show, remove/, 'kpatch kernel [options] [command]', 'kpatch kernel'],
    [['channel'], /needs a command: init,/, 'kpatch channel [options] [command]', 'kpatch channel'],
    [['cache', 'frob'], /unknown command 'frob': list, size/, 'kpatch cache [options] [command]', 'kpatch cache'],
    [['help', 'kernel', 'nope'], /unknown command 'nope'/, 'kpatch kernel [options] [command]', 'kpatch kernel'],
    [['buidl'], /Did you mean build\?/, 'kpatch COMMAND [options] [arguments]', 'kpatch'],
    // The option of the program must not win over the mistyped one of the command.
    [
      ['build', '--version', '2', 'x'],
      /unknown option '--version'/,
      'kpatch build [options] <patch...>',
      'kpatch build',
    ],
    [['doctor', '--for', 'nonsense'], /build, prove/, 'kpatch doctor [options]', 'kpatch doctor'],
  ];
  for (const [args, problem, usage, name] of cases) {
    const { status, stdout, stderr } = kpatch(...args);
    assert.equal(status, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, problem);
    assert.ok(stderr.includes(`  usage: ${usage}\n  do:    run \`${name} --help\`\n`), stderr);
  }
  const { error } = JSON.parse(kpatch('load', '--json').stdout) as { error: object };
  assert.deepEqual(error, {
    code: 'usage',
    what: 'give a patch or --all',
    where: {},
    why: '',
    fix: 'run `kpatch load --help`',
    usage: 'kpatch load [options] [PATCH]',
  });
});

test('help names the command that was asked for, also one of a group, in each way to ask', () => {
  const asked = kpatch('help', 'kernel', 'add');
  assert.match(asked.stdout, /^Usage: kpatch kernel add \[options\] \[RELEASE\]\n/);
  assert.deepEqual(kpatch('kernel', 'add', '--help'), asked);
  assert.deepEqual(kpatch('kernel', 'help', 'add'), asked);
  assert.match(kpatch('help', 'load').stdout, /^Usage: kpatch load/);
  assert.match(kpatch('help').stdout, /^Usage: kpatch COMMAND/);
});

/** All commands as they declare themselves, without their actions. */
async function declared(): Promise<{ name: string; command: Command }[]> {
  const all: { name: string; command: Command }[] = [];
  for (const { name, load } of commands) {
    const root = new Command('kpatch');
    (await load()).register(root);
    const [command] = root.commands;
    const subs = command!.commands.map((sub) => ({ name: `${name} ${sub.name()}`, command: sub }));
    all.push(...(subs.length > 0 ? subs : [{ name, command: command! }]));
  }
  return all;
}

test('every command has an example in its help', async () => {
  for (const { name } of await declared()) assert.ok(examplesOf(name).length > 0, `kpatch ${name} has no example`);
  assert.match(kpatch('help', 'load').stdout, /\nExamples:\n {2}Check whether .*:\n {4}kpatch load --dry-run/);
});

test('every example is a command line that the program understands', async () => {
  const known = await declared();
  const lines = Object.values(examples)
    .flat()
    .flatMap(({ run }) => run)
    .filter((line) => line.startsWith('kpatch '));
  assert.ok(lines.length > 50);
  for (const line of lines) {
    const words = (line.replace(/ (\|\||&&|\||>).*/, '').match(/'[^']*'|\S+/g) ?? []).slice(1);
    const found = known.find(({ name }) => `${words.join(' ')} `.startsWith(`${name} `));
    assert.ok(found, line);
    const args = words.slice(found.name.split(' ').length);
    found.command
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .action(() => {});
    await assert.doesNotReject(found.command.parseAsync(args, { from: 'user' }), line);
  }
});

test('output that cannot be written is one line and a failure, not a stack trace', () => {
  const full = openSync('/dev/full', 'w');
  const { status, stderr } = spawnSync(program, ['help'], { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
  assert.equal(status, 1);
  assert.equal(stderr, 'kpatch: cannot write standard output: ENOSPC: no space left on device, write\n');
  const closed = spawnSync('sh', ['-c', `"${program}" help | head -n 1`], { encoding: 'utf8' });
  assert.equal(closed.stderr, '');
});
