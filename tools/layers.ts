/** The lint rule of the architecture: which room may import which. Prints each import that goes the wrong way. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const base = ['errors', 'util'];
const rooms: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  util: ['errors'],
  sandbox: base,
  elf: base,
  arch: [...base, 'elf'],
  diff: [...base, 'elf', 'arch'],
  kernel: [...base, 'sandbox', 'elf', 'arch'],
  module: [...base, 'sandbox', 'elf', 'arch', 'diff', 'kernel'],
  build: [...base, 'sandbox', 'elf', 'arch', 'diff', 'kernel', 'module'],
  vm: [...base, 'sandbox', 'elf'],
  prove: [...base, 'sandbox', 'elf', 'arch', 'diff', 'kernel', 'module', 'vm'],
  host: [...base, 'elf', 'module'],
  channel: [...base, 'sandbox', 'elf', 'module', 'host'],
  cli: [...base, 'sandbox', 'elf', 'arch', 'diff', 'kernel', 'module', 'build', 'vm', 'prove', 'host', 'channel'],
};

const root = join(import.meta.dirname, '..', 'src');
let wrong = 0;
for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))) {
  const [room] = file.split('/');
  if (room === undefined || room.endsWith('.ts')) continue;
  const allowed = rooms[room];
  for (const [, target] of readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)) {
    const [other] = relative(root, join(root, file, '..', target!)).split('/');
    if (other === undefined || other === room || other.endsWith('.ts') || allowed?.includes(other)) continue;
    console.error(`src/${file}: imports ${target}, but ${room}/ may not know ${other}/`);
    wrong++;
  }
}
process.exitCode = wrong === 0 ? 0 : 1;
