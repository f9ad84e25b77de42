/** The report page, made from a proof that is written here, in a real browser. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Proof } from '#kpatch/module/proof.ts';
import type { Subject } from '#kpatch/prove/input/subject.ts';
import { type CodeSources, reportFacts } from '#kpatch/prove/report/facts.ts';
import { reportPage } from '#kpatch/prove/report/page.ts';
import { sideBySide } from '#kpatch/prove/report/side-by-side.ts';
import { attack } from '../attack.ts';
import { compile, readCompiled } from '../kernel/fake-kernel.ts';
import { withPage } from './browser.ts';
import { sampleFacts, sampleProof } from './sample-proof.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
after(() => rmSync(folder, { recursive: true }));

function page(name: string, proof: Proof): string {
  const file = join(folder, `${name}.html`);
  writeFileSync(file, reportPage(proof, sampleFacts(), 'kpatch prove x.ko --full'));
  return pathToFileURL(file).href;
}

const axe = readFileSync(join(import.meta.dirname, '../../../../node_modules/axe-core/axe.min.js'), 'utf8');

test('the page asks for nothing, logs nothing, and is accessible, in light and dark, wide and narrow', async () => {
  for (const [verdict, width, dark] of [
    ['proven', 1280, false],
    ['not proven', 1280, true],
    ['not proven', 390, false],
  ] as const) {
    await withPage(page(`p-${width}-${dark}`, sampleProof(verdict)), width, dark, async (browser) => {
      // Everything folded is opened, so that all of it is looked at.
      await browser.evaluate(`document.querySelectorAll('details').forEach((d) => (d.open = true))`);
      await browser.evaluate(`${axe}; 0`);
      const findings = await browser.evaluate<{ id: string; nodes: string[] }[]>(
        `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.map((n) => n.html) })))`,
      );
      assert.deepEqual(findings, []);
      const overflow = await browser.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
      assert.ok(overflow <= 0, `the page is ${overflow} px wider than the window`);
      assert.deepEqual(browser.messages, []);
      assert.deepEqual(
        browser.requests.filter((url) => !url.startsWith('file:') && !url.startsWith('data:')),
        [],
      );
      const background = await browser.evaluate<string>('getComputedStyle(document.body).backgroundColor');
      assert.equal(background, dark ? 'rgb(22, 24, 27)' : 'rgb(253, 253, 252)');
      assert.match(
        await browser.evaluate<string>('document.querySelector(".verdict").innerText'),
        dark || width < 500 ? /Not proven/ : /Proven/,
      );
      const shot = (await browser.send('Page.captureScreenshot')).data as string;
      assert.ok(shot.length > 10_000, 'the screenshot is empty');
    });
  }
});

test('the keyboard reaches every part', async () => {
  await withPage(page('keys', sampleProof('not proven')), 1280, false, async (browser) => {
    const tab = { type: 'keyDown', key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9 };
    const reached = new Set<string>();
    for (let i = 0; i < 60; i++) {
      await browser.send('Input.dispatchKeyEvent', tab);
      reached.add(
        await browser.evaluate<string>('document.activeElement.tagName + "." + document.activeElement.className'),
      );
    }
    for (const name of ['A.skip', 'A.', 'SUMMARY.', 'DIV.scroll'])
      assert.ok(reached.has(name), `${name} of ${[...reached]}`);
  });
});

test("a function's code is shown, not the padding that kernels with IBT have before it", () => {
  const source = `__asm__(".type __pfx_fixed, @function; __pfx_fixed: .skip 16, 0x90; .size __pfx_fixed, 16");
int fixed(int a) { return a * 3; }`;
  const file = compile(folder, 'padded', source);
  const subject = { file, bytes: readFileSync(file) } as unknown as Subject;
  const [shown] = reportFacts(subject, [{ name: 'fixed', object: 'vmlinux', sympos: 0 }], undefined, []).functions;
  assert.equal(shown?.renewed?.at(-1)?.text, 'ret');
});

test('what is local to a module has its own name, also where the assembler gave its section and distance', () => {
  const source = `static int first, second;
void set(int value) { first = value; second = value; }
int shown(int a) { return a + first + second; }`;
  const file = compile(folder, 'local', source);
  const subject = { file, bytes: readFileSync(file) } as unknown as Subject;
  const [shown] = reportFacts(subject, [{ name: 'shown', object: 'vmlinux', sympos: 0 }], undefined, []).functions;
  const code = shown?.renewed?.map(({ text }) => text).join('\n') ?? '';
  assert.match(code, /first\(%rip\)/);
  assert.match(code, /second\(%rip\)/);
  assert.doesNotMatch(code, /bss/);
});

test('the old code of a function in a module is the one at its position in the symbol table of that module', () => {
  const file = compile(folder, 'patch', 'int twin(int a) { return a * 7; }');
  const subject = { file, bytes: readFileSync(file) } as unknown as Subject;
  const files = [3, 5].map((by) => {
    const twin = `static __attribute__((noinline)) int twin(int a) { return a / ${by}; }`;
    return compile(folder, `by${by}`, `${twin} int by${by}(int a) { return twin(a); }`);
  });
  spawnSync('ld', ['-r', '-o', join(folder, 'tun.ko'), ...files]);
  const modules = new Map([['tun', readCompiled(join(folder, 'tun.ko'))]]);
  const kernel = { image: { sections: [] }, kallsyms: {}, modules } as unknown as CodeSources;
  const old = [1, 2].map((sympos) => {
    const [shown] = reportFacts(subject, [{ name: 'twin', object: 'tun', sympos }], kernel, []).functions;
    return shown?.old?.map(({ text }) => text).join('\n') ?? '';
  });
  assert.ok(old[0] !== old[1] && old.every((code) => code.endsWith('ret')), old.join('\n\n'));
});

test('a transition in which nobody had to wait is told, not drawn', () => {
  const proof = sampleProof('proven');
  const checks = proof.checks.map((check) => ({
    ...check,
    evidence: check.evidence.map((seen) =>
      seen.data ? { ...seen, data: { points: [{ seconds: 1, tasks: 0 }] } } : seen,
    ),
  }));
  assert.match(reportPage(proof, sampleFacts(), ''), /<figure>/);
  assert.doesNotMatch(reportPage({ ...proof, checks }, sampleFacts(), ''), /<figure>/);
  assert.match(
    reportPage({ ...proof, checks }, sampleFacts(), ''),
    /Completed before any task was seen waiting.*In the stock kernel: it took 1\.20 s/s,
  );
});

attack(
  {
    area: 'text',
    attacker: 'patch author',
    how: "markup in the module's name and file name, reasons, consoles, patches and the command line, shown in the report",
  },
  () => {
    const evil = '<script>alert(1)</script>"><img src=x onerror=1>\u202e\u001b[2J';
    const proof = sampleProof('not proven');
    const page = reportPage(
      {
        ...proof,
        module: { ...proof.module, name: evil, file: evil },
        kernel: { ...proof.kernel, release: evil },
        plan: evil,
        tool: evil,
        made: evil,
        reasons: [evil],
        boots: [{ ...proof.boots[0]!, title: evil, console: evil }],
        checks: proof.checks.map((check) => ({ ...check, title: evil, reason: evil })),
        inputs: [{ role: evil, name: evil, sha256: '0'.repeat(64) }],
      },
      { patches: [{ name: evil, text: `+${evil}` }], functions: [] },
      evil,
    );
    assert.doesNotMatch(page, /<script|<img|[\u0000-\u0008\u000b-\u001f\u202a-\u202e]/);
    assert.match(
      page,
      /<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-/,
    );
    return 'text put into a page is escaped by the template tag (base/text/html.ts), and the page allows no script at all';
  },
);

test('lines are set side by side: equal ones opposite each other', () => {
  const rows = sideBySide(['a', 'b', 'c', 'd'], ['a', 'x', 'c', 'd', 'e']);
  assert.deepEqual(
    rows.map(({ left = '', right = '', same }) => `${left}${same ? '=' : '|'}${right}`),
    ['a=a', 'b|x', 'c=c', 'd=d', '|e'],
  );
  const many = Array.from({ length: 5000 }, (_, i) => String(i));
  assert.equal(sideBySide(many, [...many].reverse()).length, 5000);
});
