/** Which definitions of a source file a patch edits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editedNames, sourceItems } from '#kpatch/source/reach/source-items.ts';

const source = `#include <linux/fs.h>
static int helper(int a) { return a; }
int global_function(struct a *a, int b)
{
	return helper(b);
}
EXPORT_SYMBOL(global_function);
void __printf(1, 2) says(const char *format, ...) { }
bool __attribute__((unused)) marked(void) { return true; }
unsigned long global_variable = 4;
struct table tables[4] = { { .a = helper }, };
const struct file_operations open_ops __ro_after_init = { .open = helper };
SYSCALL_DEFINE3(read, unsigned int, fd, char __user *, buf, size_t, count)
{
	return 0;
}
COMPAT_SYSCALL_DEFINE1(old, int, a) { return a; }
#define A(x) (x)
`;

test('functions and variables of a file have names, static or not, and system calls those of their entries', () => {
  const names = sourceItems(source).map(({ names }) => names[0]);
  assert.deepEqual(
    names.filter((name) => name !== undefined),
    [
      'helper',
      'global_function',
      'says',
      'marked',
      'global_variable',
      'tables',
      'open_ops',
      '__do_sys_read',
      '__do_compat_sys_old',
      'A',
    ],
  );
});

test('what is edited is named, whatever else changes: includes, conditions, comments', () => {
  const after = source
    .replace('#include <linux/fs.h>', '#include <linux/fs.h>\n#include <linux/mm.h>')
    .replace('return helper(b);', 'return helper(b) /* more */ + 1;')
    .replace('= 4;', '= 5;')
    .replace('{ return true; }', '{ /* comment */ return true; }');
  assert.deepEqual(editedNames(source, after), ['global_function', 'global_variable']);
  assert.deepEqual(editedNames(undefined, 'int added(void) { return 1; }'), ['added']);
  assert.deepEqual(editedNames(source, source), []);
});
