/** Habits of Linux 7.x: WARN() that names its own entry of `__bug_table`, exports for named modules, names of tracepoints. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { differ, functionsOf } from './fixture.ts';

/** As arch/x86/include/asm/bug.h of 7.2 writes it, with entries of 16 bytes. */
const warn = `
void __WARN_trap(void *, ...);
#define WARN(fmt, ...) ({ void *bug; asm volatile("lea (2f)(%%rip), %0\\n1:\\n.pushsection __bug_table,\\"aw\\"\\n2: .long 1b - .\\n.long %c1 - .\\n.long %c2 - .\\n.word %c3\\n.word 19\\n.org 2b+16\\n.popsection" : "=r"(bug) : "i"(fmt), "i"(__FILE__), "i"(__LINE__)); __WARN_trap(bug, ##__VA_ARGS__); asm(""); })
`;
const kernel = { major: 7, minor: 2 };
const first = 'void a(int n) { if (n > 9) WARN("first", n); use(n); }';
const last = (limit: number): string => `void b(int n) { if (n > ${limit}) WARN("last", n); use(n); }`;

test('a function that names its own entry of the table of bugs takes it along', () => {
  const result = differ(`${warn}${first}${last(5)}`, `${warn}${first}${last(6)}`, { kernel });
  assert.deepEqual(functionsOf(result), ['changed b']);
  const { sections, symbols } = readObject(intermediateObject(result.patch()), 'output');
  const table = sections.find(({ name }) => name === '__bug_table')!;
  assert.equal(table.data.length, 16, 'the entry of b alone');
  const code = sections.find(({ name }) => name === '.text.b')!;
  const lea = code.relocations.find(({ symbol }) => symbol?.section === table)!;
  // The field of lea is the end of the instruction: -4 is the beginning of the table, where the entry is now.
  assert.equal(lea.addend + lea.symbol!.value, -4);
  assert.ok(symbols.some(({ name }) => name === '__WARN_trap'));
});

test('an entry that only moved in the table is the same', () => {
  const result = differ(
    `${warn}${first}${last(5)}`,
    `${warn}${first.replace('use(n)', 'WARN("more"); use(n)')}${last(5)}`,
    {
      kernel,
    },
  );
  assert.deepEqual(functionsOf(result), ['changed a']);
});

test('another text, or another entry, is a change', () => {
  const changed = differ(`${warn}${first}${last(5)}`, `${warn}${first}${last(5).replace('last', 'LAST')}`, { kernel });
  assert.deepEqual(functionsOf(changed), ['changed b']);
  const two = (order: string): string => `${warn}void b(int n) { ${order} use(n); }`;
  const [one, other] = ['WARN("one");', 'WARN("two");'];
  assert.deepEqual(functionsOf(differ(two(one + other), two(other + one), { kernel })), ['changed b']);
});

test('a symbol of vmlinux that is exported for named modules only is reached by a livepatch relocation', () => {
  const source = (value: number): string => `extern int context; int f(void) { return context + ${value}; }`;
  const imports = (namespace: string, object: string): readonly string[] => {
    const kernelSymbols = [{ name: 'context', kind: 'object', bind: 'global' }] as const;
    const setting = {
      kernel,
      object,
      exports: { context: { module: 'vmlinux', crc: 0, gpl: true, namespace } },
      ...(object === 'vmlinux' ? { elsewhere: ['context'] } : { options: { kernelSymbols } }),
    };
    const result = differ(source(1), source(2), setting);
    assert.equal(result.references.find(({ name }) => name === 'context')?.object, 'vmlinux');
    return result.namespaces;
  };
  for (const object of ['vmlinux', 'hv_vmbus']) {
    assert.deepEqual(imports('module:mshv_vtl', object), [], object);
    assert.deepEqual(imports('CRYPTO', object), ['CRYPTO'], object);
  }
});

test('names of tracepoints that the build checks are no change', () => {
  const source = (name: string): string =>
    `static const char __attribute__((used, section("__tracepoint_check"))) check_${name}[] = "${name}"; int f(int a) { return use(a); }`;
  assert.equal(differ(source('one'), source('another'), { kernel }).status, 'unchanged');
});
