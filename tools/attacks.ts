/**
 * `make attacks`: carries out every attack of the test suite (`attack()` in packages/kpatch/test/attack.ts) and prints one line for each: how it
 * was carried out and what refused it. Exit status 1 where one of them worked. `make attacks AREA=policy` runs one area.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { attackMark } from '../packages/kpatch/test/attack.ts';

interface Carried {
  readonly area: string;
  readonly attacker: string;
  readonly how: string;
  readonly refusedBy: string;
}

const root = join(import.meta.dirname, '..');
const area = process.argv[2] ?? '';
const files = globSync('**/*.test.ts', { cwd: root, exclude: ['**/node_modules/**', '**/dist/**'] })
  .map((file) => join(root, file))
  .filter((file) => /^\s*attack\(/m.test(readFileSync(file, 'utf8')))
  .sort();

const carried: Carried[] = [];
const worked: { readonly file: string; readonly name: string; readonly reason: string }[] = [];
const stream = run({
  files,
  concurrency: 2,
  timeout: 900_000,
  testNamePatterns: [new RegExp(`^attack on ${area === '' ? '\\S+' : area}: `)],
});
for await (const { type, data } of stream) {
  if (type === 'test:diagnostic' && data.message.startsWith(attackMark)) {
    carried.push(JSON.parse(data.message.slice(attackMark.length)) as Carried);
  }
  if (type === 'test:fail' && (data.details.type !== 'suite' || data.name.startsWith('attack'))) {
    const { error } = data.details;
    const reason = error.cause instanceof Error ? error.cause.message : String(error.cause ?? error.message);
    worked.push({ file: relative(root, data.file ?? ''), name: data.name, reason });
  }
}

carried.sort((a, b) => `${a.area} ${a.how}`.localeCompare(`${b.area} ${b.how}`));
for (const { area: part, attacker, how, refusedBy } of carried) {
  console.log(`refused  ${part}  (${attacker}) ${how} -> ${refusedBy}`);
}
for (const { file, name, reason } of worked) console.log(`WORKED   ${name} (${file}): ${reason.split('\n')[0]}`);
console.log(`${carried.length} attacks refused, ${worked.length} worked or could not be carried out`);
process.exitCode = worked.length === 0 && carried.length > 0 ? 0 : 1;
