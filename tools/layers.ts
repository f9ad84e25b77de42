/**
 * The lint rules of the architecture: a room of packages/kpatch imports only itself and rooms above it in the table, the
 * factory and the fleet import the program only through its public interface, and no file takes part in an import cycle. No
 * folder holds more than twelve files on one level.
 * Prints each import that breaks a rule.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Rooms in their order; a room may import every room above it that its row does not exclude. */
const order = [
  'base',
  'documents',
  'design',
  'sandbox',
  'formats',
  'platform',
  'kernel',
  'toolchain',
  'kbuild',
  'source',
  'distro',
  'prepare',
  'differ',
  'run-pre',
  'module',
  'provenance',
  'review',
  'rewrite',
  'builder',
  'shield',
  'vm',
  'advisory',
  'prove',
  'host',
  'channel',
  'fleet',
  'compat',
  'cli',
] as const;

type Room = (typeof order)[number];

/** The rooms that make patches. */
const building = [
  'kernel',
  'toolchain',
  'kbuild',
  'source',
  'prepare',
  'differ',
  'run-pre',
  'builder',
  'review',
  'rewrite',
  'shield',
  'vm',
] as const satisfies readonly Room[];

/** What a room must not know although it comes later: the program that loads patches knows nothing of building them, and so on. */
const excluded: Partial<Record<Room, readonly Room[]>> = {
  differ: ['kernel', 'toolchain', 'kbuild', 'source', 'distro', 'prepare'],
  'run-pre': ['differ', 'source'],
  vm: ['toolchain', 'kbuild', 'source', 'prepare', 'differ', 'run-pre', 'module', 'builder'],
  advisory: ['kernel', 'toolchain', 'kbuild', 'source', 'prepare', 'differ', 'run-pre', 'module', 'builder', 'vm'],
  prove: ['review', 'rewrite', 'shield', 'builder', 'source', 'differ', 'advisory'],
  host: [...building, 'distro', 'advisory'],
  channel: [...building, 'prove'],
  fleet: [...building, 'advisory', 'prove'],
};

const root = join(import.meta.dirname, '..', 'packages', 'kpatch');
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.ts') && !name.startsWith('test/') && !name.includes('node_modules/'),
);
const graph = new Map<string, string[]>();
for (const file of files) {
  const text = readFileSync(join(root, file), 'utf8');
  const targets = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, target]) =>
    relative(root, join(root, file, '..', target!)),
  );
  graph.set(file, targets);
}

/** What the other programs of the project may import of kpatch: what its package.json exports. */
const others = ['factory', 'fleet'];
const outside = others.flatMap((name) => {
  const folder = join(root, '..', name);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('test/') && !file.includes('node_modules/'))
    .map((file) => ({ name: `packages/${name}/${file}`, text: readFileSync(join(folder, file), 'utf8') }));
});

let wrong = 0;
function complain(line: string): void {
  console.error(line);
  wrong++;
}

const roomOf = (file: string): string | undefined => (file.includes('/') ? file.split('/')[0] : undefined);
for (const [file, targets] of graph) {
  const room = roomOf(file);
  if (room === undefined) continue;
  const place = order.indexOf(room as Room);
  if (place === -1) complain(`packages/kpatch/${file}: ${room}/ is not a room; add it to tools/layers.ts`);
  for (const target of targets) {
    const other = roomOf(target);
    if (other === room) continue;
    const above = other !== undefined && order.indexOf(other as Room) < place && order.includes(other as Room);
    if (!above || excluded[room as Room]?.includes(other as Room))
      complain(
        `packages/kpatch/${file}: imports ${target}, but ${room}/ must not know ${other ?? 'the public interface'}`,
      );
  }
}

for (const { name, text } of outside) {
  for (const [, target] of text.matchAll(/(?:from|import\()\s*'([^']+)'/g))
    if (/kpatch\//.test(target!) && !/^kpatch\/(?:advisories|documents|fleet|parts)$/.test(target!))
      complain(`${name}: imports ${target}; only what packages/kpatch/package.json exports may be used`);
}

const folders = new Set([
  '',
  ...order,
  ...[...graph.keys()].filter((file) => file.includes('/')).map((file) => dirname(file)),
]);
for (const folder of folders) {
  if (!existsSync(join(root, folder, 'README.md')))
    complain(`packages/kpatch/${folder}: has no README.md that says what it takes, returns and must not know`);
}

/** Files that a folder may hold before it needs a second level. */
const MOST_FILES = 12;
/** Folders that are lists: one file for each entry. */
const lists: Readonly<Record<string, string>> = {
  'base/errors/entries': 'the errors of each room',
  'platform/x86_64': 'the parts of one record',
};
for (const folder of folders) {
  const count = files.filter((file) => file.includes('/') && dirname(file) === folder).length;
  if (count > MOST_FILES && lists[folder] === undefined)
    complain(`packages/kpatch/${folder}: has ${count} files; at most ${MOST_FILES}, then a second level`);
  if (count <= MOST_FILES && lists[folder] !== undefined)
    complain(`tools/layers.ts: ${folder} has ${count} files and needs no exception`);
}

/** Strongly connected groups of more than one file (Tarjan 1972). */
function cycles(): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    index.set(file, index.size);
    low.set(file, index.get(file)!);
    stack.push(file);
    for (const target of graph.get(file) ?? []) {
      if (!graph.has(target)) continue;
      if (!index.has(target)) visit(target);
      if (stack.includes(target)) low.set(file, Math.min(low.get(file)!, low.get(target)!));
    }
    if (low.get(file) !== index.get(file)) return;
    const group = stack.splice(stack.indexOf(file));
    if (group.length > 1) found.push(group.sort());
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return found;
}

for (const group of cycles()) complain(`import cycle: ${group.join(', ')}`);
process.exitCode = wrong === 0 ? 0 : 1;
