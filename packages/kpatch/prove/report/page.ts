/** The report: one self-contained HTML page without scripts. */

import { type Html, html } from '../../base/text/html.ts';
import { pageText, type Section } from '../../design/page.ts';
import { diffLines, facts as factList, scrolling, type Tone, verdictBanner } from '../../design/parts.ts';
import type { Proof, ProofCheck } from '../../module/proof.ts';
import { limitsOf } from '../limits.ts';
import type { ReplacedCode, ReportFacts, ShownPatch } from './facts.ts';
import { count, seconds, slug } from './html.ts';
import { redirectionPicture, timelinePicture } from './pictures.ts';
import { sideBySide } from './side-by-side.ts';
import { style } from './style.ts';

/** Instructions shown before and after each difference. */
const CONTEXT = 8;

/** `repeat` is the command line that repeats the proof. */
export function reportPage(proof: Proof, facts: ReportFacts, repeat: string): string {
  const title = `${headline(proof)}: ${proof.module.name} on Linux ${proof.kernel.release}`;
  const checks: Section = { id: 'checks', name: 'Checks', body: checksSection(proof) };
  const failed = proof.checks.some(({ outcome }) => outcome === 'failed');
  const sections: readonly Section[] = [
    // Whoever opens the report of a failure wants to see the failure.
    ...(failed ? [checks] : []),
    { id: 'source', name: 'What the patch changes in the source', body: sourceSection(facts.patches) },
    { id: 'hazards', name: 'Hazards that the review found', body: hazardSection(facts.hazards) },
    { id: 'code', name: 'What changes in the machine code', body: codeSection(facts.functions) },
    { id: 'picture', name: 'Redirected functions and their callers', body: pictureSection(facts.functions) },
    { id: 'timeline', name: 'The transition over time', body: timelineSection(proof) },
    ...(failed ? [] : [checks]),
    { id: 'limits', name: 'What this proof does not show', body: limitsSection(proof) },
    { id: 'consoles', name: 'Consoles of the virtual machines', body: consoleSection(proof) },
    { id: 'repeat', name: 'How to repeat it', body: html`<pre tabindex="0"><code>${repeat}</code></pre>` },
    { id: 'digests', name: 'Digests', body: identity(proof) },
  ];
  const made = html`<time datetime="${proof.made}">${proof.made.slice(0, 16).replace('T', ' ')} UTC</time>`;
  return pageText({
    title,
    head: html`<h1>${proof.module.name} on Linux ${proof.kernel.release}</h1>\n${verdict(proof)}`,
    sections,
    foot: html`<p>Made by ${proof.tool} with QEMU ${proof.qemu} on ${made}.</p>`,
    style,
  });
}

/** `Proven`, `Proven except NAMES` or `Not proven`. */
function headline({ verdict: [first = '', ...rest] }: Proof): string {
  return first.toUpperCase() + rest.join('');
}

function verdict(proof: Proof): Html {
  const held = proof.checks.filter(({ outcome }) => outcome === 'held').length;
  const tone: Tone = proof.verdict === 'proven' ? 'good' : proof.verdict.startsWith('proven') ? 'warn' : 'bad';
  const failed = proof.checks.filter(({ outcome }) => outcome === 'failed');
  const links = failed.map(
    ({ check, title, reason = '' }) => html`<li><a href="#check-${slug(check)}">${title}</a>: ${reason}</li>`,
  );
  // A reason that names a failed check is in its link already.
  const others = proof.reasons.filter((reason) => !failed.some(({ title }) => reason.startsWith(title)));
  const list = [...links, ...others.map((reason) => html`<li>${reason}</li>`)];
  const sum = html`<p>${held} of ${count(proof.checks.length, 'check')} of the plan ${'“'}${proof.plan}${'”'} held, in ${count(proof.boots.length, 'boot')} of the stock kernel, in ${seconds(proof.ms)}.</p>`;
  return verdictBanner(tone, headline(proof), [list.length > 0 && html`<ul>${list}</ul>`, sum]);
}

function identity(proof: Proof): Html {
  return factList([
    ['Module', html`${proof.module.file}, SHA-256 <code>${proof.module.sha256}</code>`],
    ['Kernel', html`${proof.kernel.release}, image SHA-256 <code>${proof.kernel.image}</code>`],
    ...proof.inputs.map(({ role, name, sha256 }) => [role, html`${name}, SHA-256 <code>${sha256}</code>`] as const),
    ...(proof.signature === undefined ? [] : [['Signed by', html`key <code>${proof.signature.key}</code>`] as const]),
  ]);
}

function sourceSection(patches: readonly ShownPatch[]): Html {
  if (patches.length === 0) return html`<p>No source patch was given (<code>--patch FILE</code>).</p>`;
  return html`${patches.map(({ name, text }) => html`<h3>${name}</h3>${scrolling(`Source patch ${name}`, diffLines(text))}`)}`;
}

function hazardSection(hazards: ReportFacts['hazards']): Html {
  if (hazards === undefined) return html`<p>The patch was not reviewed.</p>`;
  if (hazards.length === 0) return html`<p>None. The review reads source text and knows some kinds only.</p>`;
  return factList(
    hazards.map(({ kind, place, function: name, reason, remedy }) => [
      `${kind}: ${name} (${place})`,
      `${reason}. To do: ${remedy}.`,
    ]),
  );
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
    return html`${heading}<p>The old code was not found; only the new code is shown.</p>${scrolling(`Code of ${name}`, html`<pre>${renewed.map((line) => html`<span>${line.text}</span>`)}</pre>`)}`;
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
  const narrow: Html[] = [];
  const shown: Html[] = [];
  for (let at = 0; at < rows.length; at++) {
    if (near(at)) {
      shown.push(body[at]!);
      narrow.push(...unifiedRow(rows[at]!));
      continue;
    }
    const start = at;
    while (at + 1 < rows.length && !near(at + 1)) at++;
    const unchanged = `${count(at + 1 - start, 'instruction')} unchanged`;
    shown.push(html`<tr class="gap"><td colspan="4">${unchanged}</td></tr>`);
    narrow.push(html`<span class="hunk">  ${unchanged}</span>`);
  }
  const table = html`<table class="code-table">
<thead><tr><th scope="col" colspan="2">in the kernel (${count(old.length, 'instruction')})</th><th scope="col" colspan="2">in the patch (${count(renewed.length, 'instruction')})</th></tr></thead>
<tbody>${shown}</tbody></table>`;
  return html`${heading}<p class="note">${count(changed, 'line')} of ${rows.length} differ.</p>
<div class="side-by-side">${scrolling(`Old and new code of ${name}`, table)}</div>
<div class="unified">${scrolling(`Old and new code of ${name}, one below the other`, html`<pre>${narrow}</pre>`)}</div>`;
}

/** For screens that are too narrow for two columns: the old line, then the new one. */
function unifiedRow({ left, right, same }: ReturnType<typeof sideBySide>[number]): Html[] {
  if (same) return [html`<span>  ${left}</span>`];
  return [
    ...(left === undefined ? [] : [html`<span class="del">- ${left}</span>`]),
    ...(right === undefined ? [] : [html`<span class="add">+ ${right}</span>`]),
  ];
}

function pictureSection(functions: readonly ReplacedCode[]): Html {
  if (functions.length === 0) return html`<p>No redirected functions are known.</p>`;
  return scrolling('Picture of the redirections', redirectionPicture(functions));
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

/** For each boot: what failed, open; what did not run; and all that held behind one line. */
function checksSection(proof: Proof): Html {
  const boots = new Map(proof.boots.map(({ boot, title }) => [boot, title]));
  const groups = [...new Set(proof.checks.map(({ boot }) => boot))];
  const failures = (boot: string): number =>
    proof.checks.filter((check) => check.boot === boot && check.outcome === 'failed').length;
  const shown = groups
    .sort((a, b) => failures(b) - failures(a))
    .map((boot) => {
      const own = proof.checks.filter((check) => check.boot === boot);
      const held = own.filter(({ outcome }) => outcome === 'held');
      const others = own.filter(({ outcome }) => outcome !== 'held');
      const sorted = [...others].sort((a, b) => Number(b.outcome === 'failed') - Number(a.outcome === 'failed'));
      const title = boot === 'files' ? 'From the files' : `In ${boots.get(boot) ?? boot}`;
      const all = html`<details class="group"><summary><span class="mark good">${'✓'} held</span> ${held.length} of ${count(own.length, 'check')}</summary>${held.map(checkItem)}</details>`;
      return html`<h3>${title}</h3>\n${sorted.map(checkItem)}${held.length > 0 && all}`;
    });
  return html`${shown}`;
}

const tones = { held: 'good', failed: 'bad', 'not run': 'idle' } as const;

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
  const summary = html`<summary><span class="mark ${tones[outcome]}">${words}</span> ${title} <span class="time">${time}</span></summary>`;
  const why = reason !== undefined && html`<p class="${outcome === 'failed' ? 'reason' : ''}">${reason}</p>`;
  const body = html`<div>${why}${facts.length > 0 && html`<ul class="evidence">${facts}</ul>`}</div>`;
  return outcome === 'failed'
    ? html`<details class="check" id="check-${slug(check.check)}" open>${summary}${body}</details>`
    : html`<details class="check" id="check-${slug(check.check)}">${summary}${body}</details>`;
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
    return html`<details><summary>${title} (${kept === undefined ? 'booted' : 'resumed'} in ${seconds(bootMs)}, ${how}${ran === undefined ? '' : `, before the interruption, at ${ran}`})</summary>${scrolling(`Console of ${title}`, html`<pre>${text}</pre>`)}</details>`;
  });
  return html`${shown}`;
}
