/**
 * Every reader of data from outside is fuzzed. A reader is an exported function, by its name and its first parameter; whoever
 * adds one adds a target, or says here why it needs none.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const named = /^(?:read|parse|decode|open|unpack|decompress|check|judge|verify)[A-Z]\w*$/;
const typed = /^(?:Uint8Array|Buffer|unknown|string \| Uint8Array|Uint8Array \| ElfFile)$/;
const textual = /^(?:text|output|content|source|line|stdout|json|log|document|patch|bytes|value|spec)$/;

/** Readers without a target, with the reason. */
const others: Readonly<Record<string, string>> = {
  checkModule: 'checks what our own linker has just written',
  openEfiZboot: 'called by bootImageOf, which is a target',
  parseAge: 'an option of the command line',
  parseDay: 'an option of the command line',
  parseDistribution: 'an option of the command line',
  parseSize: 'an option of the command line',
  readAsn1: 'called by the target "CMS"',
  readSealed: 'looks at members of parsed JSON only; strict JSON is a target',
  readSymbolTable: 'calls parseKallsyms or parseReadelf, which are targets',
  unpackImage: 'runs programs of the system in the sandbox',
  unpackModule: 'runs programs of the system in the sandbox',
  verifySignature: 'called by judgeSignature, which is a target',
};

test('every exported reader of bytes or text has a fuzz target', () => {
  const targets = globSync('*.ts', { cwd: import.meta.dirname })
    .filter((name) => !name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
    .join('\n');
  const used = new Set<string>();
  const missing: string[] = [];
  for (const file of globSync('**/*.ts', { cwd: root, exclude: ['test/**', '**/node_modules/**'] }).sort()) {
    const text = readFileSync(join(root, file), 'utf8');
    const functions = text.matchAll(/^export (?:async )?function (\w+)(?:<[^>]*>)?\(\s*(\w+)\??: ([^,)]+)/gm);
    for (const [, name = '', parameter = '', type = ''] of functions) {
      const reads =
        named.test(name) && (typed.test(type.trim()) || (type.trim() === 'string' && textual.test(parameter)));
      if (!reads || new RegExp(`\\b${name}\\b`).test(targets)) continue;
      if (Object.hasOwn(others, name)) used.add(name);
      else missing.push(`${file}: ${name}`);
    }
  }
  assert.deepEqual(missing, [], 'add a target to test/fuzz, or a reason to this file');
  assert.deepEqual(
    Object.keys(others).filter((name) => !used.has(name)),
    [],
    'these reasons are no longer needed',
  );
});
