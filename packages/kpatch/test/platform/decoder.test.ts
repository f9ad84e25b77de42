/** The decoders against objdump: where instructions begin, where control goes, and what is found in compiled code. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { isText } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { aarch64 } from '#kpatch/platform/arm64/machine.ts';
import { loongarch64 } from '#kpatch/platform/loongarch64/machine.ts';
import type { Architecture, Flow } from '#kpatch/platform/platform.ts';
import { ppc64le } from '#kpatch/platform/ppc64le/machine.ts';
import { architectureOf } from '#kpatch/platform/registry.ts';
import { s390x } from '#kpatch/platform/s390x/machine.ts';
import { provokes } from '../provoke.ts';

interface Machine {
  readonly arch: Architecture;
  readonly compiler: string;
  readonly flags: readonly string[];
  /** What objdump calls instructions of each flow, at the beginning of a line. */
  readonly mnemonics: Readonly<Partial<Record<Flow, RegExp>>>;
}

const machines: readonly Machine[] = [
  {
    arch: ppc64le,
    compiler: 'powerpc64le-linux-gnu-gcc-12',
    flags: ['-mcpu=power8'],
    mnemonics: {
      call: /^bctrl|^bl /,
      end: /^bctr$|^blr$/,
      jump: /^b /,
      branch: /^b(?:ne|eq|gt|lt|le|ge|dnz|dz)[+-]? /,
    },
  },
  {
    arch: s390x,
    compiler: 's390x-linux-gnu-gcc-12',
    flags: ['-march=z13'],
    mnemonics: {
      call: /^brasl|^basr/,
      end: /^br %/,
      jump: /^j 0|^jg 0/,
      branch: /^c(?:g|l|lg)?(?:i|r)?j|^j(?:ne|e|h|l|nh|nl|he|le) /,
    },
  },
  {
    arch: aarch64,
    compiler: 'aarch64-linux-gnu-gcc-12',
    flags: [],
    mnemonics: { call: /^blr? /, end: /^ret|^br /, jump: /^b 0/, branch: /^b\.|^cbn?z|^tbn?z/ },
  },
];

const source = `
int use(int); int use2(const char *, int); long lots(long, long);
struct node { struct node *next; int value; long many[8]; };
int walk(struct node *n, int (*f)(int)) { int s = 0; for (; n; n = n->next) { if (n->value & 4) s += f(n->value); else s ^= use(s); } return s; }
long sums(long *p, int n) { long a = 0, b = 1; for (int i = 0; i < n; i++) { a += p[i] * b; b = b * 3 + p[i] / (n + 1); if (a > 100000) a %= 77; } return lots(a, b); }
int pick(int a) { switch (a) { case 1: return use2("one", 1000); case 2: return use2("two", 40000); case 3: return use2("three", 3); } return a < 0 ? use(-a) : 5; }
void copy(struct node *a, const struct node *b) { __builtin_memcpy(a, b, sizeof *a); a->value = __sync_fetch_and_add(&a->many[1], 3); }
int tail(int a) { return use(a + 1); }
unsigned bits(unsigned a, unsigned long b) { return __builtin_popcount(a) + __builtin_clzl(b) + (a << 3 | b >> 9); }
`;

for (const { arch, compiler, flags, mnemonics } of machines) {
  test(`${arch.name}: instructions begin and branch where objdump says`, () => {
    using folder = temporaryFolder('kpatch-decoder-');
    writeFileSync(join(folder.path, 'a.c'), source);
    const options = ['-O2', '-w', '-ffreestanding', '-fno-asynchronous-unwind-tables', '-ffunction-sections', ...flags];
    execFileSync(compiler, [...options, '-c', 'a.c', '-o', 'a.o'], { cwd: folder.path });
    const object = readObject(readFileSync(join(folder.path, 'a.o')), 'a.o');
    assert.equal(architectureOf(object), arch);
    const seen: Partial<Record<Flow, number>> = {};
    for (const section of object.sections.filter(isText)) {
      const decoder = arch.decoder(section.data);
      for (const { offset, length, text } of arch.disassemble(section.data, 0, section.data.length)) {
        const instruction = decoder.instruction(offset);
        if (instruction === undefined) {
          assert.match(text, /^\.(?:long|inst|word)|^udf/, `${section.name}+0x${offset.toString(16)} ${text}`);
          continue;
        }
        assert.equal(instruction.length, length, `${section.name}+0x${offset.toString(16)} ${text}`);
        for (const [flow, mnemonic] of Object.entries(mnemonics) as [Flow, RegExp][]) {
          if (!mnemonic.test(text)) continue;
          assert.equal(instruction.flow, flow, text);
          seen[flow] = (seen[flow] ?? 0) + 1;
        }
      }
      for (const { offset, type } of section.relocations) assert.ok(arch.relocation(type), `${type} at ${offset}`);
    }
    for (const flow of Object.keys(mnemonics) as Flow[]) assert.ok((seen[flow] ?? 0) > 0, `no ${flow} seen`);
  });
}

test('bytes that are no instructions, or too few, are none', () => {
  for (const arch of [ppc64le, s390x, aarch64, loongarch64]) {
    for (const bytes of [[], [0], [0, 0], [0, 0, 0, 0], [0xff, 0xff, 0xff]]) {
      const decoder = arch.decoder(new Uint8Array(bytes));
      for (const offset of [-4, -1, 0, 1, 2, 3, 4, 100]) {
        const instruction = decoder.instruction(offset);
        assert.ok(
          instruction === undefined || offset + instruction.length <= bytes.length,
          `${arch.name} ${bytes} ${offset}`,
        );
      }
    }
  }
});

test('every word decodes to something or nothing, and writes a set of registers', () => {
  let state = 1;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
  const bytes = new Uint8Array(1 << 16).map(() => next() >>> 24);
  for (const arch of [ppc64le, s390x, aarch64, loongarch64]) {
    const decoder = arch.decoder(bytes);
    for (let offset = 0; offset < bytes.length; offset += 2) {
      const instruction = decoder.instruction(offset);
      if (instruction === undefined) continue;
      assert.ok([2, 4, 6, 8].includes(instruction.length));
      assert.ok(Number.isInteger(instruction.writes));
      arch.branchRelocation(bytes, offset);
      arch.use(10, bytes, offset);
    }
  }
});

test('a machine of another kind or byte order is refused', async () => {
  await provokes('elf-unsupported', () => architectureOf({ file: 'a.o', machine: 8, littleEndian: true }));
  await provokes('elf-unsupported', () => architectureOf({ file: 'a.o', machine: 22, littleEndian: true }));
});
