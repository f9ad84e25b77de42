/** The report: one self-contained HTML page without scripts. */

import { contentPolicy, type Html, html, inlineStyle } from '../../base/html.ts';
import type { Proof, ProofCheck } from '../../module/proof.ts';
import { limitsOf } from '../limits.ts';
import type { ReplacedCode, ReportFacts, SourcePatch } from './facts.ts';
import { count, seconds, slug } from './html.ts';
import { redirectionPicture, timelinePicture } from './pictures.ts';
import { sideBySide } from './side-by-side.ts';
import { style } from './style.ts';

/** Instructions shown before and after each difference. */
const CONTEXT = 8;

/** `repeat` is the command line that repeats the proof. */
export function reportPage(proof: Proof, facts: ReportFacts, repeat: string): string {
  const title = `${headline(proof)}: ${proof.module.name} on Linux ${proof.kernel.release}`;
  const sections: readonly (readonly [id: string, name: string, body: Html])[] = [
    ['source', 'What the patch changes in the source', sourceSection(facts.patches)],
    ['hazards', 'Hazards that the review found', hazardSection(facts.hazards)],
    ['code', 'What changes in the machine code', codeSection(facts.functions)],
    ['picture', 'Redirected functions and their callers', pictureSection(facts.functions)],
    ['timeline', 'The transition over time', timelineSection(proof)],
    ['checks', 'Checks', checksSection(proof)],
    ['limits', 'What this proof does not show', limitsSection(proof)],
    ['consoles', 'Consoles of the virtual machines', consoleSection(proof)],
    ['repeat', 'How to repeat it', html`<pre tabindex="0"><code>${repeat}</code></pre>`],
  ];
  const links = sections.map(([id, name]) => html`<li><a href="#${id}">${name}</a></li>`);
  const bodies = sections.map(
    ([id, name, body]) => html`<section aria-labelledby="${id}"><h2 id="${id}">${name}</h2>\n${body}</section>`,
  );
  const sheet = inlineStyle(style);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">${contentPolicy({ styles: [sheet] })}<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${title}</title>
<link rel="icon" href="data:,">${sheet.element}</head>
<body><a class="skip" href="#main">To the content</a>
<header><h1>${title}</h1>
${verdict(proof)}
<nav aria-label="Parts of this report"><ul>${links}</ul></nav></header>
<main id="main">
${identity(proof)}
${bodies}
</main>
<footer><p>Made by ${proof.tool} with QEMU ${proof.qemu} on <time datetime="${proof.made}">${proof.made.slice(0, 16).replace('T', ' ')} UTC</time>.</p></footer>
</body></html>
`;
  return page.toString();
}

/** `Proven`, `Proven except NAMES` or `Not proven`. */
function headline({ verdict: [first = '', ...rest] }: Proof): string {
  return first.toUpperCase() + rest.join('');
}

function verdict(proof: Proof): Html {
  const held = proof.checks.filter(({ outcome }) => outcome === 'held').length;
  const proven = proof.verdict.startsWith('proven');
  const reasons = proof.reasons.map((reason) => html`<li>${reason}</li>`);
  return html`<div class="verdict ${proven ? 'proven' : 'not-proven'}"><strong>${proven ? '✓' : '✗'} ${headline(proof)}</strong>
<p>${held} of ${count(proof.checks.length, 'check')} of the plan “${proof.plan}” held, in ${count(proof.boots.length, 'boot')} of the stock kernel, in ${seconds(proof.ms)}.</p>
${reasons.length > 0 && html`<ul>${reasons}</ul>`}</div>`;
}

function identity(proof: Proof): Html {
  const rows: [string, Html][] = [
    ['Module', html`${proof.module.file}, SHA-256 <code>${proof.module.sha256}</code>`],
    ['Kernel', html`${proof.kernel.release}, image SHA-256 <code>${proof.kernel.image}</code>`],
    ...proof.inputs.map(({ role, name, sha256 }): [string, Html] => [
      role,
      html`${name}, SHA-256 <code>${sha256}</code>`,
    ]),
  ];
  if (proof.signature !== undefined) rows.push(['Signed by', html`key <code>${proof.signature.key}</code>`]);
  const items = rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`);
  return html`<dl class="facts">${items}</dl>`;
}

function sourceSection(patches: readonly SourcePatch[]): Html {
  if (patches.length === 0) return html`<p>No source patch was given (<code>--patch FILE</code>).</p>`;
  const shown = patches.map(({ name, text }) => {
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
        return html`<span class="${kind}">${line}</span>`;
      });
    return html`<h3>${name}</h3><div class="scroll" tabindex="0" role="region" aria-label="Source patch ${name}"><pre>${lines}</pre></div>`;
  });
  return html`${shown}`;
}

function hazardSection(hazards: ReportFacts['hazards']): Html {
  if (hazards === undefined) return html`<p>The patch was not reviewed.</p>`;
  if (hazards.length === 0) return html`<p>None. The review reads source text and knows some kinds only.</p>`;
  const items = hazards.map(({ kind, place, function: name, reason, remedy }) => {
    return html`<dt>${kind}: ${name} (${place})</dt><dd>${reason}. To do: ${remedy}.</dd>`;
  });
  return html`<dl class="facts">${items}</dl>`;
}

function codeSection(functions: readonly ReplacedCode[]): Html {
  if (functions.length === 0) return html`<p>No replaced functions are known.</p>`;
  const note = html`<p>Left: the code of the stock kernel. Right: the code of the livepatch module. Calls and data are shown by name, jumps inside a function as an offset from its start. A line marks the first difference.</p>`;
  return html`${note}${functions.map(functionCode)}`;
}

function functionCode({ name, old, renewed }: ReplacedCode): Html {
  const heading = html`<h3 id="code-${slug(name)}">${name}</h3>`;
  if (renewed === undefined) return html`${heading}<p>The new code was not found in the module.</p>`;
  if (old === undefined)
    return html`${heading}<p>The old code was not found; only the new code is shown.</p><div class="scroll" tabindex="0" role="region" aria-label="Code of ${name}"><pre>${renewed.map((line) => html`<span>${line.text}</span>`)}</pre></div>`;
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
    const cell = (line: typeof l, side: string): Html =>
      html`<td class="off">${line === undefined ? '' : `+${line.offset.toString(16)}`}</td><td class="code ${side}${line === undefined ? '' : ' has'}">${line?.text}</td>`;
    return html`<tr class="${row.same ? 'same' : `diff${isFirst ? ' first' : ''}`}">${cell(l, 'left')}${cell(r, 'right')}</tr>`;
  });
  const changed = rows.filter(({ same }) => !same).length;
  const near = (at: number): boolean =>
    rows.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some(({ same }) => !same);
  const shown: Html[] = [];
  for (let at = 0; at < rows.length; at++) {
    if (near(at)) {
      shown.push(body[at]!);
      continue;
    }
    const start = at;
    while (at + 1 < rows.length && !near(at + 1)) at++;
    shown.push(html`<tr class="gap"><td colspan="4">${count(at + 1 - start, 'instruction')} unchanged</td></tr>`);
  }
  return html`${heading}<p class="same-note">${count(changed, 'line')} of ${rows.length} differ.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Old and new code of ${name}"><table class="code-table">
<thead><tr><th scope="col" colspan="2">in the kernel (${count(old.length, 'instruction')})</th><th scope="col" colspan="2">in the patch (${count(renewed.length, 'instruction')})</th></tr></thead>
<tbody>${shown}</tbody></table></div>`;
}

function pictureSection(functions: readonly ReplacedCode[]): Html {
  if (functions.length === 0) return html`<p>No redirected functions are known.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Picture of the redirections">${redirectionPicture(functions)}</div>`;
}

function timelineSection(proof: Proof): Html {
  const boots = new Map(proof.boots.map(({ boot, title }) => [boot, title]));
  const figures: Html[] = [];
  const short: Html[] = [];
  for (const { check, boot, evidence } of proof.checks) {
    for (const [at, { text, data }] of evidence.entries()) {
      const points = (data as { points?: { seconds: number; tasks: number }[] } | undefined)?.points;
      if (points === undefined || points.length === 0) continue;
      const title = `In ${boots.get(boot) ?? boot}: ${text}`;
      // If no task was seen waiting, a chart would be empty.
      if (points.some(({ tasks }) => tasks > 0)) {
        figures.push(timelinePicture({ id: `line-${slug(check)}-${at}`, title, points }));
      } else short.push(html`<li>${title}</li>`);
    }
  }
  if (figures.length + short.length === 0) return html`<p>No transition was observed.</p>`;
  const over = html`<p>Completed before any task was seen waiting:</p><ul>${short}</ul>`;
  return html`${figures}${short.length > 0 && over}`;
}

function checksSection(proof: Proof): Html {
  const boots = new Map(proof.boots.map(({ boot, title }) => [boot, title]));
  const groups = [...new Set(proof.checks.map(({ boot }) => boot))];
  const shown = groups.map((boot) => {
    const title = boot === 'files' ? 'From the files' : `In ${boots.get(boot) ?? boot}`;
    const items = proof.checks.filter((check) => check.boot === boot).map(checkItem);
    return html`<h3>${title}</h3>\n${items}`;
  });
  return html`${shown}`;
}

function checkItem(check: ProofCheck): Html {
  const { outcome, title, reason, evidence, ms } = check;
  const words = { held: '✓ held', failed: '✗ failed', 'not run': '– not run' }[outcome];
  const facts = evidence.map(({ text, detail, varies }) => {
    const more =
      detail === undefined || detail.trim() === ''
        ? ''
        : html`<details><summary>output</summary><pre tabindex="0">${detail}</pre></details>`;
    const note = varies === true && html` <small>(varies from run to run)</small>`;
    return html`<li class="${varies === true ? 'varies' : ''}">${text}${note}${more}</li>`;
  });
  const time = outcome === 'not run' ? '' : seconds(ms);
  const summary = html`<summary><span class="mark ${slug(outcome)}">${words}</span> ${title} <span class="time">${time}</span></summary>`;
  const why = reason !== undefined && html`<p class="${outcome === 'failed' ? 'reason' : ''}">${reason}</p>`;
  const body = html`<div>${why}${facts.length > 0 && html`<ul class="evidence">${facts}</ul>`}</div>`;
  return outcome === 'failed'
    ? html`<details class="check" open>${summary}${body}</details>`
    : html`<details class="check">${summary}${body}</details>`;
}

function limitsSection(proof: Proof): Html {
  const items = limitsOf(proof).map((limit) => html`<li>${limit}</li>`);
  const always = html`<li>other hardware, other drivers, and other workloads: the checks ran in virtual machines</li>`;
  return html`<ul>${items}${always}</ul>`;
}

function consoleSection(proof: Proof): Html {
  if (proof.boots.length === 0) return html`<p>No virtual machine was started.</p>`;
  const shown = proof.boots.map(({ title, acceleration, bootMs, kept, ran, console }) => {
    const how = acceleration === 'kvm' ? 'KVM' : 'software emulation';
    const text = console.trim() === '' ? 'It printed nothing.' : console;
    return html`<details><summary>${title} (${kept === undefined ? 'booted' : 'resumed'} in ${seconds(bootMs)}, ${how}${ran === undefined ? '' : `, before the interruption, at ${ran}`})</summary><div class="scroll" tabindex="0" role="region" aria-label="Console of ${title}"><pre>${text}</pre></div></details>`;
  });
  return html`${shown}`;
}
