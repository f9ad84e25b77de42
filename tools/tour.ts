/**
 * `make tour`: runs the commands of the tutorial in a real terminal (tmux) and compares what they print with what the page
 * says. A block ```console holds commands after `$ ` and lines of their output; each of these lines must appear, in order.
 * Numbers that differ from run to run (times, addresses, sizes) and white space do not matter; words do.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryFolder } from '#kpatch/base/files.ts';

const root = join(import.meta.dirname, '..');
const WIDTH = 200;
/** The first build of a kernel downloads and prepares it. */
const LIMIT_MS = 1_800_000;

interface Step {
  readonly command: string;
  readonly expected: readonly string[];
}

function stepsOf(markdown: string): Step[] {
  const steps: { command: string; expected: string[] }[] = [];
  for (const [, block = ''] of markdown.matchAll(/^```console\n([\s\S]*?)^```$/gm)) {
    for (const line of block.split('\n')) {
      if (line.startsWith('$ ')) steps.push({ command: line.slice(2), expected: [] });
      else if (line.trim() !== '') steps.at(-1)?.expected.push(line);
    }
  }
  return steps;
}

/** What matters of a line. */
function material(line: string): string {
  return line
    .replace(/\x1b\[[\d;]*[A-Za-z]/g, '')
    .replace(/\b\d+(?:\.\d+)? (s|min|ms|bytes|MB)\b/g, 'N $1')
    .replace(/from \d+ to N bytes/g, 'from N to N bytes')
    .replace(/^\[ *\d+\.\d+\] /, '')
    .replace(/\s+/g, ' ')
    .trim();
}

const tmux = (...args: string[]): string => execFileSync('tmux', ['-L', socket, ...args], { encoding: 'utf8' });
const socket = `kpatch-tour-${process.pid}`;

using folder = temporaryFolder('kpatch-tour-');
chmodSync(folder.path, 0o755);
cpSync(join(root, 'examples/tutorial'), folder.path, { recursive: true });

/** Runs a command in the terminal; gives the lines that it printed. */
async function run(command: string, number: number): Promise<string[]> {
  const mark = `tour-end-${number}`;
  tmux('send-keys', '-t', 'tour', '-l', `clear; ${command}; echo ${mark}-$?`);
  tmux('send-keys', '-t', 'tour', 'Enter');
  for (const end = Date.now() + LIMIT_MS; Date.now() < end; await delay(500)) {
    const lines = tmux('capture-pane', '-p', '-J', '-S', '-', '-t', 'tour').split('\n');
    const last = lines.findLastIndex((line) => new RegExp(`^${mark}-\\d+\\s*$`).test(line));
    if (last >= 0) return lines.slice(lines.findLastIndex((line) => line.includes(`; echo ${mark}-`)) + 1, last);
  }
  throw new Error(`${command}: no end within ${LIMIT_MS / 60_000} minutes`);
}

let wrong = 0;
tmux('new-session', '-d', '-s', 'tour', '-x', String(WIDTH), '-y', '50', '-c', folder.path, 'sh');
try {
  tmux('set-option', '-t', 'tour', 'history-limit', '5000');
  await run(`PATH=${join(root, 'bin')}:$PATH`, 0);
  for (const [at, { command, expected }] of stepsOf(readFileSync(join(root, 'docs/tutorial.md'), 'utf8')).entries()) {
    const printed = (await run(command, at + 1)).map(material);
    let from = 0;
    const missing = expected.filter((line) => {
      const found = printed.findIndex((one, i) => i >= from && one.includes(material(line)));
      if (found >= 0) from = found + 1;
      return found < 0;
    });
    console.log(`${missing.length === 0 ? '✓' : '✗'} ${command}`);
    for (const line of missing) console.log(`    not printed: ${line}`);
    if (missing.length > 0) console.log(printed.map((line) => `    | ${line}`).join('\n'));
    wrong += missing.length;
  }
} finally {
  tmux('kill-server');
}
process.exitCode = wrong === 0 ? 0 : 1;
