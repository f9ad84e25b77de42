/**
 * Patches whose author attacks the builder: each is built for the stock kernel, and must either be refused before anything is
 * compiled, or have no effect outside of its own code. See docs/threat-model.md, "Patch author".
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { inspect } from 'node:util';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { build as buildModule } from '#kpatch/builder/build.ts';
import { attack } from '../attack.ts';
import { stockKernel } from '../vm/stock-kernel.ts';

const SECRET = 'TOP-SECRET-OF-THE-BUILDER';
let folder = '';
/** A file that an attack would create. */
let witness = '';
let release = '';
before(async () => {
  release = (await stockKernel('6.1')).release;
  folder = mkdtempSync(join(tmpdir(), 'kpatch-hostile-'));
  witness = join(folder, 'witness');
  writeFileSync(join(folder, 'secret'), SECRET);
});
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;

interface Built {
  /** The error of the catalogue that the build ended with; anything else that is thrown fails the test. */
  readonly error: KpatchError | undefined;
  /** The module's bytes as text. */
  readonly text: string;
}

/** Builds a patch of fs/proc/meminfo.c for the stock kernel, as `kpatch build` does; `files` are further diffs. */
async function build(
  { before = [], body = [] }: { before?: readonly string[]; body?: readonly string[] },
  ...files: string[]
): Promise<Built> {
  const place = join(folder, String(count++));
  mkdirSync(place);
  const patch = join(place, 'fix.patch');
  writeFileSync(patch, [meminfo(before, body), ...files].join(''));
  const request = { cves: [], replace: true, skipCompilerCheck: false, keepLineChanges: false };
  try {
    const { module } = await buildModule({ ...request, name: 'fix', release, patches: [patch] }, silentReporter());
    return { error: undefined, text: Buffer.from(module).toString('latin1') };
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    return { error, text: '' };
  } finally {
    assert.equal(existsSync(witness), false, 'a command of the patch ran outside of the sandbox');
  }
}

function meminfo(before: readonly string[], body: readonly string[]): string {
  const added = (lines: readonly string[]): string => lines.map((line) => `+${line}\n`).join('');
  const head = ` static int meminfo_proc_show(struct seq_file *m, void *v)\n {\n`;
  return [
    '--- a/fs/proc/meminfo.c\n+++ b/fs/proc/meminfo.c\n',
    before.length === 0 ? '' : `@@ -32,2 +32,${2 + before.length} @@\n${added(before)}${head}`,
    `@@ -130,3 +${130 + before.length},${3 + body.length} @@\n`,
    ' \tshow_val_kb(m, "VmallocUsed:    ", vmalloc_nr_pages());\n',
    '-\tshow_val_kb(m, "VmallocChunk:   ", 0ul);\n+\tshow_val_kb(m, "VMALLOCCHUNK:   ", 0ul);\n',
    added(body),
    ' \tshow_val_kb(m, "Percpu:         ", pcpu_nr_pages());\n',
  ].join('');
}

function newFile(path: string, ...lines: string[]): string {
  return `--- /dev/null\n+++ b/${path}\n@@ -0,0 +1,${lines.length} @@\n${lines.map((line) => `+${line}\n`).join('')}`;
}

const author = (how: string) => ({ area: 'build', attacker: 'patch author', how }) as const;

/** The error that a build must end with. */
async function refused(built: Promise<Built>, ...codes: string[]): Promise<string> {
  const { error } = await built;
  assert.ok(error !== undefined && codes.includes(error.code), String(error ?? 'it was built').slice(0, 2000));
  return `${error.code}: ${error.message}`;
}

attack(
  author('files that make reads by their name: Kbuild, GNUmakefile, auto.conf, notes of objects, a localversion'),
  async () => {
    const shell = `x := $(shell touch ${witness})`;
    const places = [
      'fs/proc/Kbuild',
      'fs/proc/GNUmakefile',
      'GNUmakefile',
      'localversion-evil',
      'include/config/evil.conf',
    ];
    let said = '';
    for (const path of places) said = await refused(build({}, newFile(path, shell)), 'source-kind-unsupported');
    const note = build({}, newFile('fs/proc/.meminfo.o.cmd', shell), newFile('fs/proc/meminfo.o', 'x'));
    await refused(note, 'source-kind-unsupported');
    return said;
  },
);

attack(
  author(
    'files that the compiler reads by their name: a precompiled header, an assembly twin, a shipped twin of another unit',
  ),
  async () => {
    for (const path of ['include/linux/fs.h.gch', 'fs/proc/cmdline.c_shipped']) {
      await refused(build({}, newFile(path, 'x')), 'source-kind-unsupported');
    }
    const twin = build({}, newFile('fs/proc/cmdline.S', '.globl evil', 'evil: ret'));
    return refused(twin, 'source-kind-unsupported');
  },
);

attack(author('flags of the compiler in a Makefile: a plugin, specs, a wrapper, a forced include'), async () => {
  const lines = [
    'CFLAGS_meminfo.o += -fplugin=/tmp/evil.so',
    'ccflags-y += -specs=/tmp/evil',
    'CC += -wrapper sh,-c',
    'KBUILD_CFLAGS += -include /etc/passwd',
  ];
  for (const line of lines)
    assert.equal((await build({}, makefile(line))).error?.code, 'source-kind-unsupported', line);
  return 'source-kind-unsupported: a Makefile may only add source files to existing objects';
});

/** A line added to the beginning of fs/proc/Makefile. */
function makefile(line: string): string {
  const head = '# SPDX-License-Identifier: GPL-2.0\n #\n # Makefile for the Linux proc filesystem routines.\n';
  return `--- a/fs/proc/Makefile\n+++ b/fs/proc/Makefile\n@@ -1,3 +1,4 @@\n+${line}\n ${head}`;
}

attack(
  author('a section that names another function to be replaced, which was never compared with the kernel'),
  async () => {
    // struct kpatch_patch_func of dynup/kpatch: two addresses and sizes, sympos, and the names of function and object.
    const record = [
      'static int evil(void) { return 0; }',
      'static const char evil_name[] = "cmdline_proc_show", evil_object[] = "vmlinux";',
      'static struct { void *n; unsigned long s, o, z, p; const char *f, *m; } forged',
      '\t__attribute__((section(".kpatch.funcs"), used)) = { evil, 1, 0, 0, 0, evil_name, evil_object };',
    ];
    return refused(build({ before: record }), 'diff-section-reserved');
  },
);

attack(author('a manifest and livepatch relocations in sections of the source'), async () => {
  let said = '';
  for (const section of ['.kpatch.manifest', '.klp.rela.vmlinux..text']) {
    const line = `static const char forged[] __attribute__((section("${section}"), used)) = "{}";`;
    said = await refused(
      build({ before: [line], body: ['\tif (m == (void *)1) seq_puts(m, forged);'] }),
      'diff-section-reserved',
    );
  }
  return said;
});

attack(author('modinfo and the module structure in sections of the source'), async () => {
  let said = '';
  for (const section of ['.modinfo', '.gnu.linkonce.this_module']) {
    const line = `static const char forged[64] __attribute__((section("${section}"), used)) = "vermagic=evil";`;
    said = await refused(
      build({ before: [line], body: ['\tif (m == (void *)1) seq_puts(m, forged);'] }),
      'diff-section-unknown',
    );
  }
  return said;
});

attack(
  author(
    'asks whether files of the builder exist (__has_include), and includes them by .include and #pragma GCC dependency',
  ),
  async () => {
    const files = ['/etc/shadow', '/etc/hostname', join(folder, 'secret'), '/root/.ssh/id_rsa'];
    const probe = files.map((file) => `__has_include("${file}")`).join(' || ');
    const seen = await build({
      before: [`#if ${probe}`, '#define SEEN "seen=yes"', '#else', '#define SEEN "seen=no"', '#endif'],
      body: ['\tseq_puts(m, SEEN);'],
    });
    assert.equal(seen.error, undefined);
    assert.match(seen.text, /seen=no/);
    for (const line of [
      `__asm__(".include \\"${join(folder, 'secret')}\\"");`,
      `#pragma GCC dependency "${join(folder, 'secret')}"`,
    ]) {
      const { error } = await build({ before: [line] });
      assert.equal(error?.code, 'compile-failed', line);
      assert.doesNotMatch(inspect(error, { depth: 10 }), new RegExp(SECRET));
    }
    return 'the compiler sees the tree and the toolchain only';
  },
);

attack(author('takes the name and the state of the builder into the module: .incbin of /proc/sys'), async () => {
  const include = (file: string): string[] => [
    'extern char leak[];',
    `__asm__(".pushsection .rodata,\\"a\\"\\nleak: .incbin \\"${file}\\"\\n.byte 0\\n.popsection\\n");`,
  ];
  for (const file of ['/proc/sys/kernel/hostname'])
    assert.equal(
      (await build({ before: include(file), body: ['\tseq_puts(m, leak);'] })).error?.code,
      'compile-failed',
      file,
    );
  const { text } = await build({ before: include('/proc/self/environ'), body: ['\tseq_puts(m, leak);'] });
  if (hostname() !== '') assert.doesNotMatch(text, new RegExp(`\\0${hostname()}\\0`));
  assert.doesNotMatch(text, /kpatch-hostile|SSH_|SUDO_/);
  return 'the sandbox has another host name, an empty /proc/sys and a clean environment';
});

attack(author('makes the module depend on the time, so that nobody can rebuild it'), async () => {
  const time = {
    before: ['#pragma GCC diagnostic ignored "-Wdate-time"'],
    body: ['\tseq_puts(m, __DATE__ " " __TIME__ " " __TIMESTAMP__);'],
  };
  const [one, other] = [await build(time), await build(time)];
  assert.equal(one.error, undefined);
  assert.match(one.text, /Jan {2}1 1970 00:00:00 Jan {2}1 1970/);
  assert.equal(one.text, other.text);
  return 'the compiler is told one fixed time, and both builds are identical';
});

attack(author('an object that fills the disk'), async () => {
  const fill = '__asm__(".pushsection .data\\n.skip 0x1f0000000, 1\\n.popsection");';
  return refused(build({ before: [fill] }), 'compile-failed', 'sandbox-output');
});

attack(author('names of 60,000 characters for a function, a section and a file'), async () => {
  const long = 'a'.repeat(60_000);
  const body = [`\t${long}(m);`];
  await build({ before: [`static noinline void ${long}(struct seq_file *m) { seq_puts(m, "x"); }`], body });
  await build({ before: [`static int x __attribute__((section("${long}"), used)) = 1;`] });
  const { error } = await build({}, newFile(`fs/proc/${long}.c`, 'int x;'));
  assert.ok(error !== undefined, 'a path that no file can have');
  return `${error.code}: a path that no file can have`;
});

attack(author('tables that objtool reads, filled with nonsense'), async () => {
  const sections = ['.discard.func_stack_frame_non_standard', '.altinstructions'];
  for (const section of sections) {
    const line = `__asm__(".pushsection ${section},\\"a\\"\\n.quad 0x4141414141414141, -1\\n.popsection");`;
    await build({ before: [line] });
  }
  return 'each ends with an error of the catalogue, or the table is left out because no code uses it';
});
