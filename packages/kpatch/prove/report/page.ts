/** The report: one self-contained HTML page without scripts. */
import type { Proof, ProofCheck } from '../../module/proof.ts';
import { limitsOf } from '../limits.ts';
import type { ReplacedCode, ReportFacts, SourcePatch } from './facts.ts';
import { count, esc, seconds, slug } from './html.ts';
import { redirectionPicture, timelinePicture } from './pictures.ts';
import { sideBySide } from './side-by-side.ts';
import { style } from './style.ts';

/** Instructions shown before and after each difference. */
const CONTEXT = 8;

/** `repeat` is the command line that repeats the proof. */
export function reportPage(proof: Proof, facts: ReportFacts, repeat: string): string {
  const title = `${headline(proof)}: ${proof.module.name} on Linux ${proof.kernel.release}`;
  const sections: readonly (readonly [id: string, name: string, body: string])[] = [
    ['source', 'What the patch changes in the source', sourceSection(facts.patches)],
    ['code', 'What changes in the machine code', codeSection(facts.functions)],
    ['picture', 'Redirected functions and their callers', pictureSection(facts.functions)],
    ['timeline', 'The transition over time', timelineSection(proof)],
    ['checks', 'Checks', checksSection(proof)],
    ['limits', 'What this proof does not show', limitsSection(proof)],
    ['consoles', 'Consoles of the virtual machines', consoleSection(proof)],
    ['repeat', 'How to repeat it', `<pre tabindex="0"><code>${esc(repeat)}</code></pre>`],
  ];
  const links = sections.map(([id, name]) => `<li><a href="#${id}">${esc(name)}</a></li>`).join('');
  const bodies = sections.map(
    ([id, name, body]) => `<section aria-labelledby="${id}"><h2 id="${id}">${esc(name)}</h2>\n${body}</section>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${esc(title)}</title>
<link rel="icon" href="data:,"><style>${style}</style></head>
<body><a class="skip" href="#main">To the content</a>
<header><h1>${esc(title)}</h1>
${verdict(proof)}
<nav aria-label="Parts of this report"><ul>${links}</ul></nav></header>
<main id="main">
${identity(proof)}
${bodies.join('\n')}
</main>
<footer><p>Made by ${esc(proof.tool)} with QEMU ${esc(proof.qemu)} on <time datetime="${esc(proof.made)}">${esc(proof.made.slice(0, 16).replace('T', ' '))} UTC</time>.</p></footer>
</body></html>
`;
}

/** `Proven`, `Proven except NAMES` or `Not proven`. */
function headline({ verdict: [first = '', ...rest] }: Proof): string {
  return first.toUpperCase() + rest.join('');
}

function verdict(proof: Proof): string {
  const held = proof.checks.filter(({ outcome }) => outcome === 'held').length;
  const proven = proof.verdict.startsWith('proven');
  const reasons = proof.reasons.map((reason) => `<li>${esc(reason)}</li>`).join('');
  return `<div class="verdict ${proven ? 'proven' : 'not-proven'}"><strong>${proven ? '✓' : '✗'} ${esc(headline(proof))}</strong>
<p>${held} of ${count(proof.checks.length, 'check')} of the plan “${esc(proof.plan)}” held, in ${count(proof.boots.length, 'boot')} of the stock kernel, in ${seconds(proof.ms)}.</p>
${reasons === '' ? '' : `<ul>${reasons}</ul>`}</div>`;
}

function identity(proof: Proof): string {
  const rows: [string, string][] = [
    ['Module', `${proof.module.file}, SHA-256 <code>${proof.module.sha256}</code>`],
    ['Kernel', `${esc(proof.kernel.release)}, image SHA-256 <code>${proof.kernel.image}</code>`],
    ...proof.inputs.map(({ role, name, sha256 }): [string, string] => [
      role,
      `${esc(name)}, SHA-256 <code>${sha256}</code>`,
    ]),
  ];
  if (proof.signature !== undefined) rows.push(['Signed by', `key <code>${esc(proof.signature.key)}</code>`]);
  const items = rows.map(([name, value]) => `<dt>${esc(name)}</dt><dd>${value}</dd>`).join('\n');
  return `<dl class="facts">${items}</dl>`;
}

function sourceSection(patches: readonly SourcePatch[]): string {
  if (patches.length === 0) return '<p>No source patch was given (<code>--patch FILE</code>).</p>';
  return patches
    .map(({ name, text }) => {
      const lines = text
        .trimEnd()
        .split('\n')
        .map((line) => {
          const kind =
            /^(\+\+\+|---|diff |index )/.test(line) || line.startsWith('@@')
              ? 'hunk'
              : line.startsWith('+')
                ? 'add'
                : line.startsWith('-')
                  ? 'del'
                  : '';
          return `<span${kind === '' ? '' : ` class="${kind}"`}>${esc(line)}</span>`;
        });
      return `<h3>${esc(name)}</h3><div class="scroll" tabindex="0" role="region" aria-label="Source patch ${esc(name)}"><pre>${lines.join('')}</pre></div>`;
    })
    .join('\n');
}

function codeSection(functions: readonly ReplacedCode[]): string {
  if (functions.length === 0) return '<p>No replaced functions are known.</p>';
  const note =
    '<p>Left: the code of the stock kernel. Right: the code of the livepatch module. Calls and data are shown by name, jumps inside a function as an offset from its start. A line marks the first difference.</p>';
  return note + functions.map(functionCode).join('\n');
}

function functionCode({ name, old, renewed }: ReplacedCode): string {
  const heading = `<h3 id="code-${slug(name)}">${esc(name)}</h3>`;
  if (renewed === undefined) return `${heading}<p>The new code was not found in the module.</p>`;
  if (old === undefined)
    return `${heading}<p>The old code was not found; only the new code is shown.</p><div class="scroll" tabindex="0" role="region" aria-label="Code of ${esc(name)}"><pre>${renewed.map((line) => `<span>${esc(line.text)}</span>`).join('')}</pre></div>`;
  const rows = sideBySide(
    old.map(({ text }) => text),
    renewed.map(({ text }) => text),
  );
  let left = 0;
  let right = 0;
  let first = true;
  const body = rows.map((row) => {
    const l = row.left === undefined ? undefined : old[left++];
    const r = row.right === undefined ? undefined : renewed[right++];
    const isFirst = !row.same && first;
    if (isFirst) first = false;
    const cell = (line: typeof l, side: string): string =>
      `<td class="off">${line === undefined ? '' : `+${line.offset.toString(16)}`}</td><td class="code ${side}${line === undefined ? '' : ' has'}">${line === undefined ? '' : esc(line.text)}</td>`;
    return `<tr class="${row.same ? 'same' : `diff${isFirst ? ' first' : ''}`}">${cell(l, 'left')}${cell(r, 'right')}</tr>`;
  });
  const changed = rows.filter(({ same }) => !same).length;
  const near = (at: number): boolean =>
    rows.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some(({ same }) => !same);
  const shown: string[] = [];
  for (let at = 0; at < rows.length; at++) {
    if (near(at)) {
      shown.push(body[at]!);
      continue;
    }
    const start = at;
    while (at + 1 < rows.length && !near(at + 1)) at++;
    shown.push(`<tr class="gap"><td colspan="4">${count(at + 1 - start, 'instruction')} unchanged</td></tr>`);
  }
  return `${heading}<p class="same-note">${count(changed, 'line')} of ${rows.length} differ.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Old and new code of ${esc(name)}"><table class="code-table">
<thead><tr><th scope="col" colspan="2">in the kernel (${count(old.length, 'instruction')})</th><th scope="col" colspan="2">in the patch (${count(renewed.length, 'instruction')})</th></tr></thead>
<tbody>${shown.join('\n')}</tbody></table></div>`;
}

function pictureSection(functions: readonly ReplacedCode[]): string {
  if (functions.length === 0) return '<p>No redirected functions are known.</p>';
  return `<div class="scroll" tabindex="0" role="region" aria-label="Picture of the redirections">${redirectionPicture(functions)}</div>`;
}

function timelineSection(proof: Proof): string {
  const boots = new Map(proof.boots.map(({ boot, title }) => [boot, title]));
  const figures: string[] = [];
  const short: string[] = [];
  for (const { check, boot, evidence } of proof.checks) {
    for (const [at, { text, data }] of evidence.entries()) {
      const points = (data as { points?: { seconds: number; tasks: number }[] } | undefined)?.points;
      if (points === undefined || points.length === 0) continue;
      const title = `In ${boots.get(boot) ?? boot}: ${text}`;
      // If no task was seen waiting, a chart would be empty.
      if (points.some(({ tasks }) => tasks > 0)) {
        figures.push(timelinePicture({ id: `line-${slug(check)}-${at}`, title, points }));
      } else short.push(`<li>${esc(title)}</li>`);
    }
  }
  if (figures.length + short.length === 0) return '<p>No transition was observed.</p>';
  const over = `<p>Completed before any task was seen waiting:</p><ul>${short.join('')}</ul>`;
  return `${figures.join('\n')}${short.length === 0 ? '' : over}`;
}

function checksSection(proof: Proof): string {
  const boots = new Map(proof.boots.map(({ boot, title }) => [boot, title]));
  const groups = [...new Set(proof.checks.map(({ boot }) => boot))];
  return groups
    .map((boot) => {
      const title = boot === 'files' ? 'From the files' : `In ${boots.get(boot) ?? boot}`;
      const items = proof.checks.filter((check) => check.boot === boot).map(checkItem);
      return `<h3>${esc(title)}</h3>\n${items.join('\n')}`;
    })
    .join('\n');
}

function checkItem(check: ProofCheck): string {
  const { outcome, title, reason, evidence, ms } = check;
  const words = { held: '✓ held', failed: '✗ failed', 'not run': '– not run' }[outcome];
  const facts = evidence.map(({ text, detail, varies }) => {
    const more =
      detail === undefined || detail.trim() === ''
        ? ''
        : `<details><summary>output</summary><pre tabindex="0">${esc(detail)}</pre></details>`;
    return `<li${varies === true ? ' class="varies"' : ''}>${esc(text)}${varies === true ? ' <small>(varies from run to run)</small>' : ''}${more}</li>`;
  });
  return `<details class="check"${outcome === 'failed' ? ' open' : ''}><summary><span class="mark ${slug(outcome)}">${words}</span> ${esc(title)} <span class="time">${outcome === 'not run' ? '' : seconds(ms)}</span></summary>
<div>${reason === undefined ? '' : `<p class="${outcome === 'failed' ? 'reason' : ''}">${esc(reason)}</p>`}${facts.length === 0 ? '' : `<ul class="evidence">${facts.join('')}</ul>`}</div></details>`;
}

function limitsSection(proof: Proof): string {
  const items = limitsOf(proof).map((limit) => `<li>${esc(limit)}</li>`);
  const always = '<li>other hardware, other drivers, and other workloads: the checks ran in virtual machines</li>';
  return `<ul>${items.join('')}${always}</ul>`;
}

function consoleSection(proof: Proof): string {
  if (proof.boots.length === 0) return '<p>No virtual machine was started.</p>';
  return proof.boots
    .map(({ title, acceleration, bootMs, kept, console }) => {
      const how = acceleration === 'kvm' ? 'KVM' : 'software emulation';
      const text = console.trim() === '' ? 'It printed nothing.' : console;
      return `<details><summary>${esc(title)} (${kept === undefined ? 'booted' : 'resumed'} in ${seconds(bootMs)}, ${how})</summary><div class="scroll" tabindex="0" role="region" aria-label="Console of ${esc(title)}"><pre>${esc(text)}</pre></div></details>`;
    })
    .join('\n');
}
