/** The proof that a kernel was built without a source file, on Makefiles of every form that the kernel has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Configured } from '#kpatch/builder/rules/configured.ts';

const makefiles: Readonly<Record<string, string>> = {
  'drivers/Makefile': 'obj-$(CONFIG_OFF_BUS) += bus/\nobj-y += net/ firmware/\nobj-$(CONFIG_ON) += char/\n',
  'drivers/bus/Makefile': 'obj-y += host.o\n',
  'drivers/net/Makefile': `obj-$(CONFIG_OFF) += off.o \\
  folded.o
obj-$(CONFIG_ON) += on.o both.o
obj-$(CONFIG_OFF) += both.o
parts-y := one.o
parts-$(CONFIG_OFF_TOO) += two.o
parts-$(CONFIG_ON) += three.o
obj-$(CONFIG_OFF) += parts.o
whole-objs := four.o
whole-$(CONFIG_OFF:m=y) += five.o
whole-$(subst m,y,$(CONFIG_OFF)) += six.o
obj-$(CONFIG_ON) += whole.o
ifdef CONFIG_OFF
obj-y += inside.o
else
obj-y += outside.o
endif
ifeq ($(CONFIG_OFF),y)
ifeq ($(BITS),64)
obj-y += nested.o
endif
endif
image-y := boot.o
targets += off.o
`,
  'drivers/firmware/Makefile': 'subdir-$(CONFIG_ON) += stub\n',
  'drivers/firmware/stub/Makefile': 'lib-y := stub.o\n',
};

const configured = new Configured({
  read: (path) => makefiles[path],
  option: (name) => (name === 'ON' ? 'y' : undefined),
});

test('the option that keeps a file out: its own, that of its object, that of its folder, a condition around it', () => {
  const expected: Readonly<Record<string, string>> = {
    'drivers/net/off.c': 'OFF',
    'drivers/net/off.S': 'OFF',
    'drivers/net/folded.c': 'OFF',
    'drivers/net/one.c': 'OFF',
    'drivers/net/two.c': 'OFF_TOO',
    'drivers/net/three.c': 'OFF',
    'drivers/net/five.c': 'OFF',
    'drivers/net/six.c': 'OFF',
    'drivers/net/inside.c': 'OFF',
    'drivers/net/nested.c': 'OFF',
    'drivers/bus/host.c': 'OFF_BUS',
    'drivers/bus/deep/down.c': 'OFF_BUS',
    'drivers/bus/table.reg': 'OFF_BUS',
  };
  for (const [file, option] of Object.entries(expected)) assert.equal(configured.missing(file), option, file);
});

test('no proof: another list has it, an option that is set, an else branch, lists of other links, no list at all', () => {
  const files = ['on.c', 'both.c', 'four.c', 'outside.c', 'boot.c', 'unlisted.c', 'table.reg'];
  for (const file of [...files.map((name) => `drivers/net/${name}`), 'drivers/firmware/stub/stub.c', 'top.c'])
    assert.equal(configured.missing(file), undefined, file);
});
