/** Constants that assembly was compiled with (asm-offsets.h, bounds.h), on the newest stock 6.1 kernel. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { build } from '#kpatch/builder/build.ts';
import { checkOffsets, generatorsOf } from '#kpatch/builder/rules/offsets.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { provokes } from '../provoke.ts';
import { type Edits, sourcePatch } from '../source/source-patch.ts';
import { stockKernel } from '../vm/stock-kernel.ts';

const folder = temporaryFolder('kpatch-offsets-');
let facts: KernelFacts;
before(async () => {
  const { release } = await stockKernel('6.1');
  facts = new KernelFacts(await prepareKernel(release, { report: silentReporter() }));
});
after(() => folder.dispose());

test('the programs that compute constants: those that all kernels have, those beside assembly of this kernel', () => {
  const files: Readonly<Record<string, string>> = {
    'kernel/bounds.c': '',
    'kernel/sched/rq-offsets.c': '',
    'arch/x86/kernel/asm-offsets.c': '',
    'arch/x86/kvm/kvm-asm-offsets.c': '',
    'arch/x86/kvm/vmx/vmenter.S': '#include <linux/linkage.h>\n#include "kvm-asm-offsets.h"\n',
    'arch/x86/hyperv/mshv-asm-offsets.c': '',
    'arch/x86/hyperv/mshv_vtl_asm.S': '#include "mshv-asm-offsets.h"\n',
  };
  const sources = (...objects: string[]): string[] =>
    generatorsOf('x86', objects, (path) => files[path]).map(({ source }) => source);
  const always = ['kernel/bounds.c', 'arch/x86/kernel/asm-offsets.c', 'kernel/sched/rq-offsets.c'];
  assert.deepEqual(sources('fs/a.o'), always);
  assert.deepEqual(sources('arch/x86/kvm/vmx/vmenter.o'), [...always, 'arch/x86/kvm/kvm-asm-offsets.c']);
  assert.deepEqual(sources('arch/x86/hyperv/mshv_vtl_asm.o'), [...always, 'arch/x86/hyperv/mshv-asm-offsets.c']);
});

let count = 0;
/** An overlay in which these files are changed. */
function overlayOf(edits: Edits): SourceOverlay {
  const place = join(folder.path, String(count++));
  mkdirSync(place);
  const overlay = new SourceOverlay(facts.kernel.paths.tree, place);
  for (const [file, change] of Object.entries(edits)) {
    overlay.copy(file);
    writeFileSync(join(place, file), change(readFileSync(join(place, file), 'latin1')), 'latin1');
  }
  return overlay;
}

describe('what kbuild computes from structures', { concurrency: 1 }, () => {
  test('a new page flag is refused, with the constant that it changes', async () => {
    const patch = join(folder.path, 'flag.patch');
    const edit = (text: string): string => text.replace('\t__NR_PAGEFLAGS,', '\tPG_kpatch,\n\t__NR_PAGEFLAGS,');
    writeFileSync(patch, sourcePatch(facts.kernel.paths.tree, { 'include/linux/page-flags.h': edit }));
    const request = { patches: [patch], cves: [], replace: true, skipCompilerCheck: false, keepLineChanges: false };
    const error = await provokes('generated-changed', () =>
      build({ ...request, release: facts.kernel.release }, silentReporter()),
    );
    assert.match(error.message, /NR_PAGEFLAGS of include\/generated\/bounds\.h from \d+ to \d+/);
  });

  test('a structure of which assembly knows a member, and a constant of KVM', async () => {
    const member = overlayOf({
      'arch/x86/include/asm/suspend_64.h': (text) =>
        text.replace('struct saved_context {', 'struct saved_context {\n\tlong added;'),
    });
    const files = ['arch/x86/include/asm/suspend_64.h'];
    const error = await provokes('generated-changed', () => checkOffsets(facts, member, files, ''));
    assert.match(error.message, /saved_context_\w+ of include\/generated\/asm-offsets\.h/);
    const vcpu = overlayOf({
      'arch/x86/kvm/svm/svm.h': (text) => text.replace('struct vcpu_svm {', 'struct vcpu_svm {\n\tlong added;'),
    });
    const unpatched = join(folder.path, 'unpatched');
    const kvm = await provokes('generated-changed', () =>
      checkOffsets(facts, vcpu, ['arch/x86/kvm/svm/svm.h'], unpatched),
    );
    assert.match(kvm.message, /SVM_\w+ of arch\/x86\/kvm\/kvm-asm-offsets\.c/);
  });

  test('a header that they include without a constant that changes', async () => {
    const file = 'include/linux/sched.h';
    const overlay = overlayOf({
      [file]: (text) => text.replace(/#endif\s*$/, 'static inline void added(void) { }\n#endif\n'),
    });
    await checkOffsets(facts, overlay, [file], join(folder.path, 'none'));
  });
});
