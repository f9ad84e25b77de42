import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { parseDependencies, parseStanzas } from '#kpatch/formats/deb822.ts';
import { parseConfig } from '#kpatch/kernel/config.ts';
import { KernelModules, unpackModule } from '#kpatch/kernel/modules.ts';
import { parseRelease } from '#kpatch/kernel/release.ts';
import { parseSymvers } from '#kpatch/kernel/symvers.ts';
import type { KernelPaths, TargetKernel } from '#kpatch/kernel/target.ts';
import { checkCompiler, compilerNames, compilerOf, sameCompiler, wantedCompiler } from '#kpatch/toolchain/compiler.ts';
import { provokes } from '../provoke.ts';
import { writeFiles } from './fake-distribution.ts';

describe('release', () => {
  it('is read from the strings of several distributions', () => {
    for (const [text, major, minor, patch] of [
      ['6.1.0-56-amd64', 6, 1, 0],
      ['6.12.117+deb12-amd64', 6, 12, 117],
      ['5.15.0-91-generic', 5, 15, 0],
      ['5.14.0-427.13.1.el9_4.x86_64', 5, 14, 0],
      ['6.18', 6, 18, 0],
      ['4.12.14-lp150.11-default', 4, 12, 14],
      ['7.0.0-rc3', 7, 0, 0],
    ] as const) {
      assert.deepEqual(parseRelease(text), { major, minor, patch }, text);
    }
  });

  it('is nothing else, above all no path', () => {
    for (const text of [
      '',
      '6',
      'x',
      '../6.1',
      '6.1.0/..',
      '6.1.0-a/b',
      '6.1.0 x',
      '6.1.0\n',
      '-6.1',
      `6.1.0-${'x'.repeat(200)}`,
    ]) {
      assert.equal(parseRelease(text), undefined, JSON.stringify(text));
    }
  });

  it('is ordered by version', () => {});
});

describe('configuration', () => {
  const text =
    '# comment\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D="with \\"quotes\\" and \\\\"\nCONFIG_E=0x10\nCONFIG_F=n\nCONFIG_BAD\n';
  const config = parseConfig(text);

  it('gives values with and without the prefix', () => {
    assert.equal(config.get('A'), 'y');
    assert.equal(config.get('CONFIG_B'), 'm');
    assert.equal(config.get('C'), undefined);
    assert.equal(config.get('D'), 'with "quotes" and \\');
    assert.equal(config.get('E'), '0x10');
    assert.equal(config.get('F'), undefined);
    assert.equal(config.has('B'), false);
  });

  it('finds the first difference, both ways', () => {
    assert.equal(config.firstDifference(parseConfig(text)), undefined);
    assert.deepEqual(config.firstDifference(parseConfig(text.replace('CONFIG_B=m', 'CONFIG_B=y'))), {
      option: 'CONFIG_B',
      here: 'm',
      there: 'y',
    });
    assert.deepEqual(config.firstDifference(parseConfig(`${text}CONFIG_G=y\n`)), {
      option: 'CONFIG_G',
      here: 'not set',
      there: 'y',
    });
  });
});

describe('Module.symvers', () => {
  it('is read in the forms that kernels wrote', async () => {
    const symvers = parseSymvers(
      [
        '0x7dcd4f4b\tprintk\tvmlinux\tEXPORT_SYMBOL\t',
        '0x00000001\tdma_buf_get\tdrivers/dma-buf/dma-buf\tEXPORT_SYMBOL_GPL\tDMA_BUF',
        '0x00000002\told\tvmlinux\tEXPORT_SYMBOL',
        '0x00000003\tmiddle\tUSB_STORAGE\tdrivers/usb/storage/usb-storage\tEXPORT_SYMBOL_GPL',
        '',
      ].join('\n'),
    );
    assert.deepEqual(symvers.get('printk'), {
      name: 'printk',
      crc: 0x7dcd4f4b,
      module: 'vmlinux',
      exportType: 'EXPORT_SYMBOL',
      namespace: undefined,
    });
    assert.equal(symvers.get('dma_buf_get')?.namespace, 'DMA_BUF');
    assert.equal(symvers.get('old')?.exportType, 'EXPORT_SYMBOL');
    assert.equal(symvers.get('middle')?.namespace, 'USB_STORAGE');
    assert.equal(symvers.get('middle')?.module, 'drivers/usb/storage/usb-storage');
    for (const line of ['printk', '0xzz\tprintk\tvmlinux\tEXPORT_SYMBOL', '0x1\t\tvmlinux\tEXPORT_SYMBOL']) {
      const error = await provokes('kernel-symvers', () => parseSymvers(`0x1\ta\tvmlinux\tEXPORT_SYMBOL\t\n${line}\n`));
      assert.equal(error.where.line, 2);
    }
  });
});

describe('Debian control data', () => {
  it('is read by paragraphs', () => {
    const [one, two, ...rest] = parseStanzas(
      'Package: a\nDepends: b (= 1:2.0-1), c [amd64] | d, e:any (>= 3)\nDescription: x\n more\n .\n\nPackage: z\n\n\n',
    );
    assert.equal(one?.Package, 'a');
    assert.equal(one?.Description, 'x\nmore\n.');
    assert.equal(two?.Package, 'z');
    assert.deepEqual(rest, []);
    assert.deepEqual(parseDependencies(one?.Depends), [
      { name: 'b', relation: '=', version: '1:2.0-1' },
      { name: 'c', relation: undefined, version: undefined },
      { name: 'e', relation: '>=', version: '3' },
    ]);
    assert.deepEqual(parseDependencies(undefined), []);
  });
});

describe('compiler', () => {
  it('is the one that the configuration names, if it is here', async () => {
    const here = execFileSync('gcc', ['--version']).toString().split('\n')[0]!;
    const named = await compilerOf(parseConfig(`CONFIG_CC_IS_GCC=y\nCONFIG_CC_VERSION_TEXT="${here}"\n`));
    assert.deepEqual(named, { command: 'gcc', builtBy: here, makeArguments: [] });
    const other = await compilerOf(parseConfig('CONFIG_CC_VERSION_TEXT="gcc-3 (Old 3.2) 3.2.1"\n'));
    assert.equal(other.command, 'gcc', 'one that can be compared and refused');
    const clang = await compilerOf(
      parseConfig(
        'CONFIG_CC_IS_CLANG=y\nCONFIG_LD_IS_LLD=y\nCONFIG_AS_IS_LLVM=y\nCONFIG_CC_VERSION_TEXT="Debian clang version 9.9.9"\n',
      ),
    );
    assert.match(clang.command, /^clang/);
    assert.match(clang.makeArguments[0]!, /^LD=ld\.lld(-9)?$/);
    assert.deepEqual(clang.makeArguments.slice(1), ['LLVM_IAS=1']);
    const linker = { command: 'gcc', builtBy: '', makeArguments: ['LD=ld.lld-99'] };
    const error = await provokes('tool-missing', () => checkCompiler({ compiler: linker } as unknown as TargetKernel));
    assert.match(error.message, /ld\.lld-99/);
  });

  it('of the RHEL family can be that of a gcc-toolset, which is not in PATH', () => {
    const names = (text: string, triple?: string): string[] =>
      compilerNames(wantedCompiler(parseConfig(`CONFIG_CC_IS_GCC=y\nCONFIG_CC_VERSION_TEXT="${text}"\n`)), triple);
    const rhel8 = 'gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-26)';
    assert.deepEqual(names(rhel8), [
      'gcc',
      'gcc-8',
      '/opt/rh/gcc-toolset-8/root/usr/bin/gcc',
      '/opt/rh/devtoolset-8/root/usr/bin/gcc',
    ]);
    const newer = names('gcc (GCC) 13.3.1 20240611 (Red Hat 13.3.1-2)');
    assert.ok(newer.includes('/opt/rh/gcc-toolset-13/root/usr/bin/gcc'));
    assert.deepEqual(names(rhel8, 'aarch64-linux-gnu'), ['aarch64-linux-gnu-gcc', 'aarch64-linux-gnu-gcc-8']);
    assert.ok(sameCompiler(rhel8, rhel8.replace('gcc', '/opt/rh/gcc-toolset-8/root/usr/bin/gcc')));
  });

  it('is a cross compiler for the kernel of another machine, which make is told', async () => {
    const text = 'CONFIG_ARM64=y\nCONFIG_CC_IS_GCC=y\nCONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-14) 12.2.0"\n';
    const { command, makeArguments } = await compilerOf(parseConfig(text));
    assert.equal(command, 'aarch64-linux-gnu-gcc-12');
    assert.deepEqual(makeArguments, ['ARCH=arm64', 'CROSS_COMPILE=aarch64-linux-gnu-']);
  });

  it('is compared without its command', () => {
    assert.ok(sameCompiler('gcc-12 (Debian 12.2.0-14) 12.2.0', 'x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14) 12.2.0'));
    assert.ok(!sameCompiler('gcc-12 (Debian 12.2.0-14) 12.2.0', 'gcc-12 (Debian 12.2.0-15) 12.2.0'));
  });
});

describe('modules', () => {
  const folder = temporaryFolder('kpatch-modules-');
  after(() => folder.dispose());

  it('are found and unpacked in every packing that distributions use', async () => {
    const elf = Buffer.from(`\x7fELF ${'content '.repeat(40)}`);
    writeFiles(folder.path, {
      'kernel/net/plain.ko': elf,
      'kernel/net/with-dash.ko.xz': execFileSync('xz', ['-c', '--check=crc32'], { input: elf }),
      'kernel/net/z_std.ko.zst': zstdCompressSync(elf),
      'kernel/net/gz.ko.gz': gzipSync(elf),
      'kernel/net/notes.txt': 'no module',
      'modules.builtin': 'kernel/lib/built-in.ko\n',
    });
    symlinkSync(join(folder.path, '..'), join(folder.path, 'build')); // not followed: it may lead back here
    const modules = new KernelModules({ release: '6.1.0', paths: { modules: folder.path } as KernelPaths });
    assert.deepEqual(modules.names.sort(), ['gz', 'plain', 'with_dash', 'z_std']);
    for (const name of ['plain', 'with-dash', 'with_dash', 'z_std', 'gz'])
      assert.ok((await modules.read(name)).equals(elf), name);
    assert.equal(modules.objectOf('with-dash'), 'net/with-dash');
    assert.equal(modules.isBuiltin('built-in'), true);
    for (const packed of [zstdCompressSync(elf), gzipSync(elf), execFileSync('xz', ['-c'], { input: elf })]) {
      packed.fill(0xee, 12);
      await provokes('kernel-image-format', () => unpackModule(packed, 'damaged.ko'));
    }
  });

  it('may be none', () => {
    const modules = new KernelModules({
      release: '6.1.0',
      paths: { modules: join(folder.path, 'absent') } as KernelPaths,
    });
    assert.deepEqual(modules.names, []);
    assert.equal(modules.isBuiltin('x'), false);
  });
});
