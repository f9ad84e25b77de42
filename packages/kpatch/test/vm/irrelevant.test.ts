/** Patches without effect on the running kernel, against a prepared stock kernel: refused unless shown to be irrelevant. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Edits, sourcePatch } from '../source/source-patch.ts';
import { stockKernel } from './stock-kernel.ts';

const soak = process.env.KPATCH_SOAK === '1';
const root = join(import.meta.dirname, '../../../..');
let folder = '';
let release = '';
let tree = '';

interface Refusal {
  readonly code: string;
  readonly detail?: string;
  readonly reason?: string;
  readonly leftOut?: readonly { readonly file: string; readonly proof?: string }[];
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
  mkdirSync(join(folder, 'tmp'));
  ({ release } = await stockKernel());
  assert.equal(kpatch('kernel', 'add', release).status, 0);
  const { kernel } = kpatch('kernel', 'show', release).document as { kernel: { paths: { tree: string } } };
  tree = kernel.paths.tree;
});
after(() => rmSync(folder, { recursive: true, force: true }));

function run(program: string, args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, HOME: folder, TMPDIR: join(folder, 'tmp') };
  return spawnSync(join(root, 'bin', program), args, { encoding: 'utf8', cwd: folder, env });
}

function kpatch(...args: string[]): { status: number | null; document: unknown } {
  const { status, stdout } = run('kpatch', [...args, '--json']);
  return { status, document: JSON.parse(stdout) };
}

function attempt(edits: Edits): [status: number | null, error: Refusal] {
  writeFileSync(join(folder, 'fix.patch'), sourcePatch(tree, edits));
  const { status, document } = kpatch('build', '-k', release, 'fix.patch', '-o', 'fix.ko');
  return [status, (document as { error: Refusal }).error];
}

const insert = (marker: string | RegExp, text: string) => (source: string) => source.replace(marker, `$&${text}`);
const meminfo = 'fs/proc/meminfo.c';
const printed = insert('show_val_kb(m, "VmallocChunk:   ", 0ul', ' + 1');

describe('a patch that changes nothing', { concurrency: 1 }, () => {
  test('code of the image outside kbuild lists, generated code, also beside C source', () => {
    const image: Edits = {
      'arch/x86/realmode/rm/wakemain.c': insert('static void udelay(int loops)\n{', '\n\tloops++;'),
      'arch/x86/purgatory/purgatory.c': insert('struct sha256_state sctx;', '\n\tsha256_init(&sctx);'),
      'arch/x86/boot/compressed/misc.c': insert('#include "misc.h"', '\nint more;'),
      'drivers/firmware/efi/libstub/file.c': insert('#include "efistub.h"', '\nint more;'),
      'arch/x86/entry/vdso/vgetcpu.c': insert('#include <linux/kernel.h>', '\nint more;'),
      'lib/vdso/gettimeofday.c': insert('#include <vdso/datapage.h>', '\nint more;'),
      'arch/x86/boot/boot.h': insert('#include <linux/stdarg.h>', '\n#define MORE 1'),
      'include/asm-generic/vmlinux.lds.h': insert('#ifndef LOAD_OFFSET', '\n#define MORE 1'),
      'arch/x86/crypto/poly1305-x86_64-cryptogams.pl': insert('# last reduction step', '\n\tnop'),
      'arch/x86/lib/x86-opcode-map.txt': (text) => text.replace('6a: PUSH Ib (d64)', '6a: PUSH Ib'),
      'arch/x86/entry/syscalls/syscall_64.tbl': (text) => text.replace('sys_read\n', 'sys_write\n'),
    };
    // Beside a change that can be patched, each must be refused all the same; alone, one of each kind is enough.
    const kinds = ['arch/x86/realmode/rm/wakemain.c', 'arch/x86/boot/boot.h', 'arch/x86/entry/syscalls/syscall_64.tbl'];
    for (const [file, edit] of Object.entries(image)) {
      const alone = soak || kinds.includes(file) ? [{}] : [];
      for (const more of [...alone, { [meminfo]: printed }]) {
        const [status, error] = attempt({ [file]: edit, ...more });
        assert.deepEqual([status, error.code], [4, 'source-kind-unsupported'], `${file}: ${JSON.stringify(error)}`);
      }
    }
  });

  test('an option that the patch adds; configuration next to a comment; a function that nothing calls', () => {
    const option = insert(/^config BROKEN\n\tbool\n/m, '\nconfig MORE_UPTIME\n\tbool "More"\n\tdefault y\n');
    const guarded = insert('u32 rem;\n\tint i;\n', '\n\tif (IS_ENABLED(CONFIG_MORE_UPTIME))\n\t\tseq_puts(m, "x ");\n');
    const comment = insert('#include <linux/fs.h>', ' /* files */');
    const unused = insert(
      '#include <linux/fs.h>',
      '\nint nobody_calls(int a);\nint nobody_calls(int a)\n{\n\treturn a * 3;\n}\n',
    );
    const cases: [Edits, string][] = [
      [{ 'init/Kconfig': option, 'fs/proc/uptime.c': guarded }, 'configuration-added'],
      [{ 'init/Kconfig': option, 'fs/proc/uptime.c': comment }, 'nothing-patchable'],
      [{ 'fs/proc/uptime.c': unused }, 'nothing-patchable'],
    ];
    for (const [edits, code] of cases) {
      const [status, error] = attempt(edits);
      assert.deepEqual([status, error.code], [4, code], JSON.stringify(error));
    }
    // The last patch, through the drop-in program.
    const compat = run('kpatch-build', ['-a', release, 'fix.patch']);
    assert.equal(compat.status, 1);
    assert.doesNotMatch(compat.stderr, /no functional changes/);
  });

  test('initialisation code, a removed export', () => {
    const cases: Edits[] = [
      { [meminfo]: (text) => text.replace('proc_create_single("meminfo", 0,', 'proc_create_single("meminfo", 0400,') },
      { 'fs/seq_file.c': (text) => text.replace('EXPORT_SYMBOL(seq_puts);\n', '') },
    ];
    for (const edits of cases) {
      const [status, error] = attempt(edits);
      assert.deepEqual([status, error.code], [4, 'diff-left-out'], JSON.stringify(error));
    }
  });

  test('a macro of a header that only boot code uses', () => {
    // Nearly every unit includes elf.h, and one includes pe.h.
    const headers: Edits[] = [{ 'include/linux/pe.h': insert('#define __LINUX_PE_H', '\n#define MORE_OF_PE 1') }];
    if (soak) headers.push({ 'include/linux/elf.h': insert('#define _LINUX_ELF_H', '\n#define MORE_OF_ELF 1') });
    for (const header of headers) {
      const [status, error] = attempt(header);
      assert.deepEqual([status, error.code], [4, 'nothing-patchable'], JSON.stringify(error));
      assert.match(error.detail ?? '', /boot code/);
    }
  });

  test('status 3 with its reason: an overridden weak function, documents, another architecture, an option that is not set', () => {
    const weak = insert('arch_report_meminfo(struct seq_file *m)\n{', '\n\tseq_puts(m, "");');
    const cases: [Edits, string, string][] = [
      [{ [meminfo]: weak }, 'change-overridden', 'overridden'],
      [{ [meminfo]: insert('#include <linux/fs.h>', ' /* files */') }, 'no-change', 'same-code'],
      [{ 'Documentation/admin-guide/README.rst': (text) => `${text}more\n` }, 'not-built', 'documents-only'],
      [
        { 'arch/arm64/kernel/entry.S': insert('#include <linux/init.h>', '\n/* x */') },
        'not-built',
        'other-architecture',
      ],
      [
        { 'arch/x86/math-emu/errors.c': insert('#include <linux/signal.h>', '\nint x;') },
        'not-built',
        'not-configured',
      ],
    ];
    for (const [edits, code, reason] of cases) {
      const [status, error] = attempt(edits);
      assert.deepEqual([status, error.code, error.reason], [3, code, reason], JSON.stringify(error));
    }
  });
});
