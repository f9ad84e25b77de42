import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { KernelImage } from '#kpatch/kernel/image.ts';
import { readKallsyms } from '#kpatch/kernel/kallsyms/kallsyms.ts';
import { unpackImage } from '#kpatch/kernel/unpack.ts';
import { provokes } from '../provoke.ts';
import { bzImage, compile, linkKernel, packings } from './fake-kernel.ts';

const source = `
const char linux_banner[] = "Linux version 6.1.0-99-test (builder) (gcc-12) #1 SMP\\n";
int counter = 42;
int one(void) { return counter; }
int two(int x) { return one() + x; }
int three(int x) { return two(x) * 3; }
int four(void) { return 4; }
int five(void) { return 5; }
`;

describe('kernel image', () => {
  using folder = temporaryFolder('kpatch-image-');
  const vmlinux = linkKernel(folder.path, [compile(folder.path, 'main', source)]);

  for (const packing of packings) {
    it(`is unpacked from a bzImage packed with ${packing}`, async () => {
      assert.ok((await unpackImage(bzImage(vmlinux, packing), 'vmlinuz')).equals(vmlinux));
    });
  }

  it('may be a plain ELF file', async () => {
    assert.ok((await unpackImage(vmlinux, 'vmlinux')).equals(vmlinux));
  });

  it('says its build-id, its banner and its sections', () => {
    const image = new KernelImage(vmlinux, 'vmlinux');
    assert.match(image.buildId ?? '', /^[0-9a-f]{40}$/);
    assert.equal(image.banner, 'Linux version 6.1.0-99-test (builder) (gcc-12) #1 SMP');
    assert.equal(image.section('.text')?.address, 0xffffffff81000000n);
    assert.equal(image.section('.text')?.executable, true);
    assert.equal(image.content('.BTF'), undefined);
  });

  it('is read at virtual addresses, and only where it has bytes', () => {
    const image = new KernelImage(vmlinux, 'vmlinux');
    const [counter] = readKallsyms(image).lookup('counter');
    assert.equal(image.read(counter!.address, 4)?.readInt32LE(0), 42);
    assert.equal(image.read(0xffffffff81000000n - 8n, 16), undefined);
    assert.equal(image.read(0n, 1), undefined);
  });

  it('is read from its file only where it is looked at, with the same result', () => {
    using own = temporaryFolder('kpatch-image-');
    const path = join(own.path, 'large');
    // The sections of a kernel are far apart: what lies between is not read.
    const large = linkKernel(own.path, [
      compile(own.path, 'large', `${source}\nconst char far[1 << 20] = { 1 };\nchar last[1 << 20] = { 2 };`),
    ]);
    writeFileSync(path, large);
    const [whole, image] = [new KernelImage(large, 'large'), KernelImage.open(path)];
    assert.deepEqual(image.sections, whole.sections);
    assert.equal(image.buildId, whole.buildId);
    for (const name of ['one', 'two', 'counter', 'far', 'last']) {
      const [symbol] = readKallsyms(whole).lookup(name);
      assert.deepEqual(image.read(symbol!.address, 64), whole.read(symbol!.address, 64), name);
    }
    assert.deepEqual(image.content('.rodata'), whole.content('.rodata'));
    assert.ok(image.bytes.equals(large));
  });

  it('is not read on when its file changed meanwhile', async () => {
    using own = temporaryFolder('kpatch-image-');
    const path = join(own.path, 'changing');
    writeFileSync(path, Buffer.concat([vmlinux, Buffer.alloc(1 << 20)]));
    const image = KernelImage.open(path);
    writeFileSync(path, vmlinux);
    await provokes('file-unreadable', () => image.bytes);
  });

  it('is refused when it is something else, cut short or damaged', async () => {
    const good = bzImage(vmlinux, 'zstd');
    const damaged = Buffer.from(good);
    damaged.fill(0x55, 0xa00, 0xa40);
    const notElf = bzImage(Buffer.from('no ELF file, but long enough to be packed '.repeat(20)), 'xz');
    const old = Buffer.from(good);
    old.writeUInt16LE(0x0207, 0x206);
    for (const bytes of [
      Buffer.from('hello'),
      Buffer.alloc(0),
      Buffer.alloc(5000, 7),
      good.subarray(0, 3000),
      damaged,
      notElf,
      old,
    ]) {
      await provokes('kernel-image-format', () => unpackImage(bytes, 'vmlinuz'));
    }
    await provokes('kernel-image-format', () => new KernelImage(Buffer.alloc(100), 'x'));
  });

  it('survives any single damaged header byte, or refuses the image', () => {
    for (let at = 16; at < 64; at++) {
      const bytes = Buffer.from(vmlinux);
      bytes[at] = 0xff;
      try {
        const image = new KernelImage(bytes, 'x');
        image.read(0xffffffff81000000n, 4);
        void image.buildId;
      } catch (error) {
        assert.ok(error instanceof KpatchError);
        assert.equal(error.code, 'kernel-image-format');
      }
    }
  });
});
