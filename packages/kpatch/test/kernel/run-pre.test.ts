import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { STT } from '#kpatch/formats/elf/constants.ts';
import { definedIn, type ElfObject, type ElfSymbol } from '#kpatch/formats/elf/object.ts';
import { KernelImage } from '#kpatch/kernel/image.ts';
import { readKallsyms } from '#kpatch/kernel/kallsyms/kallsyms.ts';
import { type RunningCode, vmlinuxCode } from '#kpatch/kernel/running-code.ts';
import { architectureOf } from '#kpatch/platform/registry.ts';
import { RunPreMatcher, type RunPreResult } from '#kpatch/run-pre/match.ts';
import { moduleCode } from '#kpatch/run-pre/module-code.ts';
import { compile, type FakeMachine, linkKernel, readCompiled } from './fake-kernel.ts';
import { type Layout, layouts } from './kallsyms-writer.ts';

const sections = ['-ffunction-sections', '-fdata-sections'];

/** Calls, data, strings, a static function that two files have, a weak one that is overridden, a tail call, a loop. */
/** A constant that no caller is compiled with. */
const opaque = '#define K(n) ({ int x_; __asm__("" : "=r"(x_) : "0"(n)); x_; })';

const alpha = `${opaque}
extern int printk(const char *, ...);
extern int shared;
static int counter;
static int table[4] = { 1, 2, 3, 4 };
__attribute__((noinline)) static int check(int x) { counter += x; return counter > 10; }
int alpha_tail(int x) { return check(x + 1); }
__attribute__((noinline)) static int probe(void) { return K(7); }
__attribute__((weak)) int arch_hook(int x) { return x; }
int alpha_read(int x) { return check(x) ? printk("alpha %d\\n", x) : table[x & 3] + shared; }
int alpha_sum(const int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i] * (i + probe()); return s; }
int alpha_text(void) { return printk("alpha %d\\n", 5); }
`;
const beta = `${opaque}
extern int printk(const char *, ...);
int shared = 3;
static int limit = 5;
__attribute__((noinline)) static int check(int x) { limit -= x; return limit < 0; }
__attribute__((noinline)) static int probe(void) { return K(7); }
int arch_hook(int x) { return x * 2 + shared; }
int printk(const char *format, ...) { return format[0]; }
int beta_read(int x) { return check(x) + probe(); }
`;

function codeOf(
  folder: string,
  sources: Readonly<Record<string, string>>,
  options: readonly string[] = [],
  machine?: FakeMachine,
): RunningCode {
  const objects = Object.entries(sources).map(([name, source]) =>
    compile(folder, `run-${name}`, source, options, machine),
  );
  const layout: Layout | undefined = machine && { ...layouts['Linux 6.12']!, kind: 'relative' };
  const image = new KernelImage(linkKernel(folder, objects, layout, machine), 'vmlinux');
  return vmlinuxCode(image, readKallsyms(image));
}

function functionsOf(object: ElfObject): ElfSymbol[] {
  return object.symbols.filter(({ type, section }) => type === STT.FUNC && typeof section === 'object');
}

function matchAll(object: ElfObject, code: RunningCode): Record<string, RunPreResult> {
  const results = new RunPreMatcher(object, code).matchAll(functionsOf(object));
  return Object.fromEntries(results.map((result) => [result.function, result]));
}

function verdicts(results: Record<string, RunPreResult>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(results).map(([name, result]) => [name, result.matched ? `sympos ${result.sympos}` : result.reason]),
  );
}

const alphaFits = {
  check: 'sympos 1',
  alpha_tail: 'sympos 0',
  probe: 'sympos 1',
  arch_hook: 'overridden',
  alpha_read: 'sympos 0',
  alpha_sum: 'sympos 0',
  alpha_text: 'sympos 0',
};

describe('run-pre match', () => {
  const folder = temporaryFolder('kpatch-runpre-');
  after(() => folder.dispose());
  const code = codeOf(folder.path, { alpha, beta });
  const object = readCompiled(compile(folder.path, 'alpha', alpha, sections));

  it('finds every function of a file in vmlinux, also where sections, padding and branch forms differ', () => {
    const results = matchAll(object, code);
    assert.deepEqual(verdicts(results), alphaFits);
    // alpha_tail jumps to `check` by two bytes in vmlinux, by five in the object with function sections
    assert.equal(results.alpha_tail?.matched === true && results.alpha_tail.by, 'instructions');
    const plain = readCompiled(compile(folder.path, 'plain', alpha));
    const same = matchAll(plain, code);
    assert.deepEqual(verdicts(same), alphaFits);
    assert.equal(same.alpha_tail?.matched === true && same.alpha_tail.by, 'bytes');
  });

  it('tells equal static functions apart by what they refer to, or by the place of their file', () => {
    const other = readCompiled(compile(folder.path, 'beta', beta, sections));
    assert.deepEqual(verdicts(matchAll(other, code)), {
      check: 'sympos 2',
      probe: 'sympos 2', // byte for byte the same as alpha's: only its place tells
      arch_hook: 'sympos 0',
      printk: 'sympos 0',
      beta_read: 'sympos 0',
    });
  });

  it('tells equal functions at the very beginning or end of their files apart', () => {
    const common = '__attribute__((noinline)) static int lead(void) { return 5; }\n';
    const files = {
      one: `${common}int first(void) { return lead(); }`,
      two: `${common}int second(int x) { return lead() - x; }`,
    };
    const both = codeOf(folder.path, { ...files, beta });
    for (const [name, sympos] of [
      ['one', 1],
      ['two', 2],
    ] as const) {
      const part = readCompiled(compile(folder.path, name, files[name], sections));
      assert.equal(verdicts(matchAll(part, both)).lead, `sympos ${sympos}`);
    }
  });

  it('calls it ambiguous where nothing tells them apart', () => {
    const probe = functionsOf(object).filter(({ name }) => name === 'probe');
    const [result] = new RunPreMatcher(object, code).matchAll(probe);
    assert.ok(result?.matched === false && result.reason === 'ambiguous' && result.candidates.length === 2);
  });

  it('names the first differing instruction of both sides', () => {
    const changed = codeOf(folder.path, { alpha: alpha.replace('counter > 10', 'counter > 11'), beta });
    const result = matchAll(object, changed).check;
    assert.ok(result?.matched === false && result.reason === 'differs');
    assert.match(result.firstDifference?.expectedInstruction ?? '', /cmp.*\$0xA/);
    assert.match(result.firstDifference?.foundInstruction ?? '', /cmp.*\$0xB/);
  });

  it('sees a call that goes elsewhere, another string and other data, though the instructions are the same', () => {
    const variants: [string, string, string][] = [
      ['alpha_tail', 'return check(x + 1)', 'return arch_hook(x + 1)'],
      ['alpha_text', 'printk("alpha %d\\\\n", 5)', 'printk("gamma %d\\\\n", 5)'],
      ['alpha_read', 'table[x & 3] + shared', 'table[x & 3] + counter'],
    ];
    for (const [name, from, to] of variants) {
      assert.ok(alpha.includes(from.replace('\\\\', '\\')), from);
      const other = codeOf(folder.path, {
        alpha: alpha.replace(from.replace('\\\\', '\\'), to.replace('\\\\', '\\')),
        beta,
      });
      assert.equal(verdicts(matchAll(object, other))[name], 'differs', name);
    }
  });

  it('finds a tampered byte in any function', () => {
    const target = functionsOf(object).find(({ name }) => name === 'alpha_sum')!;
    const [symbol] = code.symbols('alpha_sum');
    for (let at = 0; at < target.size; at += 3) {
      const tampered: RunningCode = {
        ...code,
        read(address, length) {
          const bytes = code.read(address, length);
          const place = Number(symbol!.address - address) + at;
          if (bytes === undefined || place < 0 || place >= length) return bytes;
          const copy = Uint8Array.from(bytes);
          copy[place]! ^= 0x40;
          return copy;
        },
      };
      const result = new RunPreMatcher(object, tampered).match(target);
      const relocated = object.sections.some(
        (section) =>
          section === target.section && section.relocations.some(({ offset }) => at >= offset && at < offset + 4),
      );
      assert.equal(result.matched, relocated, `byte ${at}`); // fields are read through target(), see the test before
    }
  });

  it('says absent for what the target does not have', () => {
    const fresh = readCompiled(compile(folder.path, 'fresh', 'int fresh(void) { return 1; }', sections));
    assert.deepEqual(verdicts(matchAll(fresh, code)), { fresh: 'absent' });
  });

  it('matches against a module file, whose relocations are still symbolic', () => {
    const parts = [
      compile(folder.path, 'm-alpha', alpha),
      compile(folder.path, 'm-beta', beta.replace(/int printk.*\n/, '')),
    ];
    const path = join(folder.path, 'both.ko');
    execFileSync('ld', ['-r', '-o', path, ...parts]);
    execFileSync('strip', ['--strip-debug', path]);
    const module = moduleCode(readFileSync(path), 'both');
    assert.deepEqual(verdicts(matchAll(object, module)), alphaFits);
    const changed = compile(
      folder.path,
      'm-alpha',
      alpha
        .replace('printk("alpha', 'printf("alpha')
        .replace('extern int printk', 'extern int printf(const char *, ...); extern int printk'),
    );
    execFileSync('ld', ['-r', '-o', path, changed, parts[1]!]);
    assert.equal(verdicts(matchAll(object, moduleCode(readFileSync(path), 'both'))).alpha_read, 'differs');
  });
});

/** One with the other byte order, one whose addresses take two fields. */
const machines: Readonly<Record<string, FakeMachine>> = {
  s390x: {
    prefix: 's390x-linux-gnu-',
    compiler: 'gcc-12',
    flags: ['-march=z13', '-mno-packed-stack'],
    base: 0x100000n,
    order: 'big',
  },
  's390x with -fPIC': {
    prefix: 's390x-linux-gnu-',
    compiler: 'gcc-12',
    flags: ['-march=z13', '-mno-packed-stack', '-fPIC'],
    base: 0x100000n,
    order: 'big',
  },
  ppc64le: {
    prefix: 'powerpc64le-linux-gnu-',
    compiler: 'gcc-12',
    flags: [
      '-mcmodel=medium',
      '-mabi=elfv2',
      '-mcpu=power8',
      '-mno-vsx',
      '-mtraceback=no',
      '-fno-optimize-sibling-calls',
    ],
    base: 0xc000000000000000n,
    order: 'little',
  },
  aarch64: {
    prefix: 'aarch64-linux-gnu-',
    compiler: 'gcc-12',
    flags: ['-mgeneral-regs-only', '-mcmodel=small', '-mno-outline-atomics'],
    base: 0xffff800008000000n,
    order: 'little',
  },
  loongarch64: {
    prefix: '',
    compiler: 'clang-19',
    linker: 'ld.lld-19',
    flags: [
      '--target=loongarch64-linux-gnu',
      '-mabi=lp64s',
      '-msoft-float',
      '-fdirect-access-external-data',
      '-Wno-everything',
    ],
    base: 0x9000000000200000n,
    order: 'little',
  },
};

/** What a linker does with addresses on ppc64le: pairs with an upper part of zero, entries of `.toc`, near data and far data. */
const tocAlpha = `
extern int far_away[], other[]; extern int near_by; extern int outside(int);
__attribute__((noinline)) static int leaf(int x) { return x + 3; }
int (*pick(int x))(int) { return x ? outside : leaf; }
int toc_read(int x) { return near_by + far_away[x] + other[0] + outside(x); }
int toc_leaf(int x) { return leaf(x) + leaf(x + 1); }
extern char bytes[]; char *toc_odd(void) { return bytes + 3; }
`;
const tocBeta = `
int near_by = 1; int padding[40000] = { 1 }; int far_away[4] = { 1, 2, 3, 4 }; int other[4] = { 4, 3, 2, 1 };
int outside(int x) { return near_by + x; }
char bytes[8] = "1234567";
`;

describe('run-pre match with a TOC', () => {
  const folder = temporaryFolder('kpatch-runpre-toc-');
  after(() => folder.dispose());
  const machine = machines.ppc64le!;
  const inToc = '-mcmodel=large'; // loads every address from .toc
  const sources = { alpha: tocAlpha, beta: tocBeta };
  const fits = { leaf: 'sympos 0', pick: 'sympos 0', toc_read: 'sympos 0', toc_leaf: 'sympos 0', toc_odd: 'sympos 0' };

  for (const options of [[], ['-O3']]) {
    it(`finds code that the linker rewrote ${options.join('')}`, () => {
      const code = codeOf(folder.path, sources, options, machine);
      const object = readCompiled(compile(folder.path, 'alpha', tocAlpha, [...sections, ...options], machine));
      assert.deepEqual(verdicts(matchAll(object, code)), fits);
    });

    it(`sees other data and another function behind them ${options.join('')}`, () => {
      const object = readCompiled(compile(folder.path, 'alpha', tocAlpha, [...sections, ...options], machine));
      const variants: [string, string, string][] = [
        ['toc_read', 'near_by + far', 'other[1] + far'],
        ['toc_read', 'other[0]', 'far_away[0]'],
        ['toc_read', 'outside(x)', 'leaf(x)'],
        ['pick', 'x ? outside : leaf', 'x ? leaf : outside'],
        ['toc_leaf', 'leaf(x + 1)', 'outside(x + 1)'],
        ['toc_odd', 'bytes + 3', 'bytes + 2'],
      ];
      for (const [name, from, to] of variants) {
        const changed = { ...sources, alpha: tocAlpha.replace(from, to) };
        assert.notEqual(changed.alpha, tocAlpha);
        const code = codeOf(folder.path, changed, options, machine);
        assert.equal(verdicts(matchAll(object, code))[name], 'differs', `${name}: ${to}`);
      }
    });
  }

  it('matches against a module file, whose .toc is in another order', () => {
    const parts = [
      compile(folder.path, 'm-beta', tocBeta, [inToc], machine),
      compile(folder.path, 'm-alpha', tocAlpha, [inToc], machine),
    ];
    const path = join(folder.path, 'both.ko');
    execFileSync(`${machine.prefix}ld`, ['-r', '-o', path, ...parts]);
    const object = readCompiled(compile(folder.path, 'alpha', tocAlpha, [...sections, inToc], machine));
    assert.deepEqual(verdicts(matchAll(object, moduleCode(readFileSync(path), 'both'))), fits);
    const changed = compile(folder.path, 'm-alpha', tocAlpha.replace('other[0]', 'other[1]'), [inToc], machine);
    execFileSync(`${machine.prefix}ld`, ['-r', '-o', path, parts[0]!, changed]);
    assert.equal(verdicts(matchAll(object, moduleCode(readFileSync(path), 'both'))).toc_read, 'differs');
  });
});

for (const [name, machine] of Object.entries(machines)) {
  describe(`run-pre match on ${name}`, () => {
    const folder = temporaryFolder('kpatch-runpre-machine-');
    after(() => folder.dispose());
    const object = readCompiled(compile(folder.path, 'alpha', alpha, sections, machine));
    const code = codeOf(folder.path, { alpha, beta }, [], machine);

    it('finds every function of a file in vmlinux, with sections of its own or not', () => {
      assert.deepEqual(verdicts(matchAll(object, code)), alphaFits);
      const plain = readCompiled(compile(folder.path, 'plain', alpha, [], machine));
      assert.deepEqual(verdicts(matchAll(plain, code)), alphaFits);
    });

    it('sees a constant, a call that goes elsewhere, another string and other data', () => {
      const variants: [string, string, string][] = [
        ['check', 'counter > 10', 'counter > 11'],
        ['alpha_tail', 'return check(x + 1)', 'return arch_hook(x + 1)'],
        ['alpha_text', 'printk("alpha %d\\n", 5)', 'printk("gamma %d\\n", 5)'],
        ['alpha_read', 'table[x & 3] + shared', 'table[x & 3] + counter'],
      ];
      for (const [name, from, to] of variants) {
        assert.ok(alpha.includes(from), from);
        const other = codeOf(folder.path, { alpha: alpha.replace(from, to), beta }, [], machine);
        assert.equal(verdicts(matchAll(object, other))[name], 'differs', name);
      }
    });

    it('shows both instructions of a difference whole', () => {
      const changed = { alpha: alpha.replace('K(7)', 'K(9)'), beta: beta.replace('K(7)', 'K(9)') };
      const result = matchAll(object, codeOf(folder.path, changed, [], machine)).probe;
      assert.ok(result?.matched === false && result.firstDifference !== undefined);
      assert.match(result.firstDifference.expectedInstruction, /,(?:#0x)?7\b|, #0x7\b|^\.inst 0x/);
      assert.match(result.firstDifference.foundInstruction, /,(?:#0x)?9\b|, #0x9\b|^\.inst 0x/);
    });

    it('finds a tampered byte in any function', () => {
      const { runPre } = architectureOf(object);
      const target = functionsOf(object).find(({ name }) => name === 'alpha_sum')!;
      const [symbol] = code.symbols('alpha_sum');
      for (let at = 0; at < target.size; at++) {
        const tampered: RunningCode = {
          ...code,
          read(address, length) {
            const bytes = code.read(address, length);
            const place = Number(symbol!.address - address) + at;
            if (bytes === undefined || place < 0 || place >= length) return bytes;
            const copy = Uint8Array.from(bytes);
            copy[place]! ^= 0x40;
            return copy;
          },
        };
        const relocated = definedIn(target)!.relocations.some(({ offset, type }) => {
          const field = runPre!.field(type);
          const bits =
            field === undefined || at < offset || at >= offset + field.size ? 0 : (field.mask?.[at - offset] ?? 0xff);
          return field?.part === undefined && (bits & 0x40) !== 0; // other fields are read through target()
        });
        assert.equal(new RunPreMatcher(object, tampered).match(target).matched, relocated, `byte ${at}`);
      }
    });
  });
}
