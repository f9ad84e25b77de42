/**
 * A stock kernel that asks for signatures, by module.sig_enforce and by lockdown, on firmware whose `db` has a key: it refuses an unsigned module and
 * takes a signed one, and kpatch says both beforehand.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { signModule } from '#kpatch/module/make/sign.ts';
import { ownProgram } from '#kpatch/prove/input/own-program.ts';
import { boot } from '#kpatch/vm/boot.ts';
import { makeKey } from '../module/key.ts';
import { buildHandMade } from './host-modules.ts';
import { stockKernel } from './stock-kernel.ts';
import { firmwareThatTrusts } from './uefi-variables.ts';

const script = `mount -t securityfs none /sys/kernel/security
export NODE_OPTIONS=
echo "== doctor"; kpatch doctor
echo "== status"; kpatch status
echo "== verify unsigned"; kpatch verify /unsigned.ko
echo "== verify signed"; kpatch verify /signed.ko --cert /cert.pem
echo "== verify stranger"; kpatch verify /stranger.ko --cert /stranger.pem
echo "== insmod"
insmod /unsigned.ko && echo "unsigned taken"
insmod /stranger.ko && echo "stranger taken"
insmod /signed.ko && echo "signed taken"
dmesg | grep -E 'WARNING|BUG|Oops' || echo "log clean"`;

for (const [argument, why] of [
  ['module.sig_enforce=1', 'module.sig_enforce is set'],
  ['lockdown=integrity', 'lockdown mode is integrity'],
] as const) {
  test(`${argument}: the unsigned module is refused, the one signed with an enrolled key loads, and kpatch foretold both`, async () => {
    using folder = temporaryFolder('kpatch-trust-');
    const kernel = await stockKernel('6.1');
    const unsigned = (await buildHandMade(kernel)).get('lp_one')!;
    const [enrolled, stranger] = ['enrolled', 'stranger'].map((name) => makeKey(folder.path, name)) as [
      ReturnType<typeof makeKey>,
      ReturnType<typeof makeKey>,
    ];
    await using guest = await boot({
      image: kernel.image,
      files: {
        ...ownProgram(),
        '/unsigned.ko': unsigned,
        '/signed.ko': await signModule(unsigned, enrolled, 'sha256'),
        '/stranger.ko': await signModule(unsigned, stranger, 'sha256'),
        '/cert.pem': readFileSync(enrolled.certificate),
        '/stranger.pem': readFileSync(stranger.certificate),
      },
      devices: firmwareThatTrusts(folder.path, enrolled.certificate),
      kernelArguments: [argument],
      bootDeadlineMs: 300_000,
      memoryMiB: 1024,
    });
    const { output } = await guest.run(script, { deadlineMs: 400_000 });
    const part = (name: string): string =>
      output.split(`== ${name}\n`)[1]?.split('\n== ')[0]?.replace(/\s+/g, ' ') ?? '';
    assert.match(part('doctor'), /unsigned modules.*refused/, output);
    assert.ok(part('status').includes(`refuses modules that are not signed with a key it knows: ${why}`), output);
    assert.match(part('verify unsigned'), /this kernel: refuses: it is not signed/, output);
    assert.match(part('verify signed'), /this kernel: accepts: the kernel has the key that signed it/, output);
    assert.match(part('verify stranger'), /this kernel: refuses: the kernel does not have the key/, output);
    assert.match(part('insmod'), /signed taken/, output);
    assert.doesNotMatch(part('insmod'), /unsigned taken|stranger taken/, output);
    assert.match(part('insmod'), /log clean/, output);
  });
}
