/** Rules for data: initial values, tables of functions, tables of device ids. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rewritten } from './rewriting.ts';

describe('initial-data', () => {
  test('a callback sets the variable if it has the old value, and sets it back', () => {
    const { patch, outcome, assumes } = rewritten('static int limit = 4;\n', 'static int limit = 8;\n', 'initial-data');
    assert.equal(outcome, 'applied');
    assert.match(assumes, /readers cope/);
    assert.doesNotMatch(patch, /^-static int limit/m);
    assert.match(patch, /if \(READ_ONCE\(limit\) == \(4\)\)\n\+\t\tWRITE_ONCE\(limit, 8\)/);
    assert.match(patch, /KPATCH_POST_UNPATCH_CALLBACK/);
  });
  for (const [what, before, after, problem] of [
    [
      'read-only after boot',
      'static int limit __ro_after_init = 4;\n',
      'static int limit __ro_after_init = 8;\n',
      /read-only/,
    ],
    ['not a constant', 'static int limit = 4;\n', 'static int limit = f(8);\n', /not a plain constant/],
  ] as const)
    test(`refused: ${what}`, () => {
      const { outcome, text } = rewritten(before, after, 'initial-data');
      assert.equal(outcome, 'refused');
      assert.match(text, problem);
    });
  test('a constant, an array and an unchanged variable are left alone', () => {
    assert.deepEqual(rewritten('static const int a = 4;\n', 'static const int a = 5;\n', 'initial-data').notes, []);
    assert.deepEqual(rewritten('static int a = 4;\n', 'static int a = 4;\n', 'initial-data').notes, []);
  });
});

describe('operations', () => {
  const table = (target: string): string => `static const struct ops o = {\n\t.read = ${target},\n};\n`;
  const old = 'static int old_read(struct a *a, int n)\n{\n\treturn 1;\n}\n';
  const now = 'static int new_read(struct a *a, int n)\n{\n\treturn 2;\n}\n';
  test('the old function calls the new one', () => {
    const { patch, outcome } = rewritten(old + table('old_read'), old + now + table('new_read'), 'operations');
    assert.equal(outcome, 'applied');
    assert.match(patch, /^\+\ttypeof\(new_read\(a, n\)\) result = new_read\(a, n\);$/m);
    assert.match(patch, /^\+\tbarrier\(\);$/m, 'a call, not a jump, so that the patch stays on the stack');
    assert.doesNotMatch(patch, /^[+-]\t\.read/m);
  });
  test('values that are no functions are not its business', () => {
    const flags = (value: string): string =>
      `static const struct ops o = {\n\t.read = old_read,\n\t.fast = ${value},\n};\n`;
    assert.deepEqual(rewritten(old + flags('true'), old + flags('false'), 'operations').notes, []);
  });
  test('an old function that the patch removes comes back', () => {
    const { patch, outcome } = rewritten(old + table('old_read'), now + table('new_read'), 'operations');
    assert.equal(outcome, 'applied');
    assert.match(patch, /old_read\(struct a \*a, int n\)/);
  });
  test('functions that call the old one by its name go on calling it', () => {
    const caller = 'int g(void) { return old_read(0, 1); }\n';
    const better = old.replace('return 1', 'return 3');
    const { patch, outcome, text } = rewritten(
      old + table('old_read') + caller,
      better + now + table('new_read') + caller,
      'operations',
    );
    assert.equal(outcome, 'applied', text);
    assert.match(text, /what calls it by its name calls kpatch_own_old_read$/);
    assert.match(patch, /^\+static int kpatch_own_old_read\(struct a \*a, int n\)$/m);
    assert.match(patch, /^\+\treturn 3;$/m);
    assert.match(patch, /^\+int g\(void\) \{ return kpatch_own_old_read\(0, 1\); \}$/m);
    assert.match(patch, /^\+\ttypeof\(new_read\(a, n\)\) result = new_read\(a, n\);$/m);
  });
  for (const [what, before, after, problem] of [
    [
      'another table uses it',
      `${old}${table('old_read')}${table('old_read').replace(' o ', ' p ')}`,
      `${old}${now}${table('new_read')}${table('old_read').replace(' o ', ' p ')}`,
      /other tables/,
    ],
    [
      'new code uses its address',
      `${old}${table('old_read')}`,
      `${old}${now}${table('new_read')}void *h(void) { return old_read; }\n`,
      /address/,
    ],
    [
      'its address is used',
      `${old}${table('old_read')}void *h = old_read;\n`,
      `${old}${now}${table('new_read')}void *h = old_read;\n`,
      /address/,
    ],
    ['it is defined elsewhere', table('other'), `${now}${table('new_read')}`, /not defined in this file/],
    [
      'it is not static',
      old.replace('static ', '') + table('old_read'),
      old.replace('static ', '') + now + table('new_read'),
      /not static/,
    ],
    [
      'there was no function',
      `static const struct ops o = {\n\t.open = op,\n};\n`,
      `${now}static const struct ops o = {\n\t.open = op,\n\t.read = new_read,\n};\n`,
      /no function there/,
    ],
  ] as const)
    test(`refused: ${what}`, () => {
      const { outcome, text } = rewritten(before, after, 'operations');
      assert.equal(outcome, 'refused');
      assert.match(text, problem);
    });
});

describe('id-table', () => {
  const source = (entries: string, more = ''): string => `static const struct driver_info known = { 1 };
static const struct usb_device_id ids[] = {
	{ USB_DEVICE(0x1234, 1) },
${entries}	{ }
};
MODULE_DEVICE_TABLE(usb, ids);
${more}
static struct usb_driver wheel_driver = {
	.name = "wheel",
	.id_table = ids,
};
`;
  const before = source('');

  test('a callback points the driver to a new table, and back', () => {
    const { patch, outcome, text } = rewritten(before, source('\t{ USB_DEVICE(0x1234, 2) },\n'), 'id-table');
    assert.equal(outcome, 'applied', text);
    assert.match(patch, /^\+static const struct usb_device_id kpatch_new_ids\[\] = \{$/m);
    assert.match(patch, /^\+\tsmp_store_release\(&wheel_driver\.id_table, kpatch_copy_ids\);$/m);
    assert.match(patch, /^\+\tWRITE_ONCE\(wheel_driver\.id_table, ids\);$/m);
    assert.doesNotMatch(patch, /^-\t/m, 'the old table stays');
    assert.ok(patch.indexOf('return -ENOMEM') < patch.indexOf('smp_store_release'), 'memory first');
  });
  test('a changed entry too, and a pointer to what was there before', () => {
    const { patch, outcome } = rewritten(
      source('\t{ USB_DEVICE(0x1234, 2) },\n'),
      source('\t{ USB_DEVICE(0x1234, 2), .driver_info = (unsigned long)&known },\n'),
      'id-table',
    );
    assert.equal(outcome, 'applied');
    assert.match(patch, /\+\t\{ USB_DEVICE\(0x1234, 2\), \.driver_info = \(unsigned long\)&known \},/);
  });
  for (const [what, after, problem] of [
    [
      'an entry points to data of the patch',
      `static const struct driver_info fresh = { 2 };\n${source('\t{ USB_DEVICE(1, 2), .driver_info = (unsigned long)&fresh },\n')}`,
      /keep a pointer to fresh/,
    ],
    [
      'a function counts on the place of an entry',
      source('\t{ USB_DEVICE(1, 2) },\n', 'static int probe(const struct usb_device_id *id) { return id - ids; }'),
      /probe uses it too/,
    ],
  ] as const)
    test(`refused: ${what}`, () => {
      const { outcome, text, patch } = rewritten(before, after, 'id-table');
      assert.equal(outcome, 'refused', patch);
      assert.match(text, problem);
    });
  test('a table that only functions read is left to them, and comments change nothing', () => {
    const read = (entries: string): string => source(entries).replace('.id_table = ids,', '');
    assert.deepEqual(rewritten(read(''), read('\t{ USB_DEVICE(1, 2) },\n'), 'id-table').notes, []);
    assert.deepEqual(rewritten(before, source('\t/* more to come */\n'), 'id-table').notes, []);
  });
});
