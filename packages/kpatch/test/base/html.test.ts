import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { contentPolicy, type HtmlPart, html, inlineScript, inlineStyle, joined } from '#kpatch/base/text/html.ts';

test('what is put into a template is text, unless a template made it', () => {
  const evil = "\"><img src=x onerror='alert(1)'>&\u202e\u0000";
  const item = html`<li title="${evil}">${evil}</li>`;
  const text = '&quot;&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;\ufffd\ufffd';
  assert.equal(String(item), `<li title="${text}">${text}</li>`);
  assert.equal(String(html`<ul>${[item, html`<li>2</li>`]}</ul>`), `<ul>${item}<li>2</li></ul>`);
  assert.equal(String(html`<p>${1}${undefined}${false}${['<', ['>']]}</p>`), '<p>1&lt;&gt;</p>');
  assert.equal(String(joined(['<', html`<b>x</b>`], html`<br>`)), '&lt;<br><b>x</b>');
});

test('places where escaping does not help are refused', () => {
  const put = (part: HtmlPart): unknown => html`<p class=${part}>`;
  assert.throws(() => put('x'), /in double quotes/);
  assert.throws(() => html`<p class='${'x'}'>`, /in double quotes/);
  assert.throws(() => html`<p ${'onclick'}>`, /in double quotes/);
  assert.throws(() => html`<${'script'}>`, /in double quotes/);
  assert.throws(() => html`<script>var a = "${'x'}"</script>`, /style or script/);
  assert.throws(() => html`<style>p { color: ${'x'} }</style>`, /style or script/);
  assert.throws(() => inlineScript('a = "</script>"'), /cannot contain/);
});

test('a page says which of its styles and scripts may run', () => {
  const style = inlineStyle('p { margin: 0 }');
  const script = inlineScript('console.log(1 < 2)');
  const digest = createHash('sha256').update('p { margin: 0 }').digest('base64');
  const policy = String(contentPolicy({ styles: [style], scripts: [script] })).replaceAll('&#39;', "'");
  assert.match(policy, /^<meta http-equiv="Content-Security-Policy" content="default-src 'none'; /);
  assert.ok(policy.includes(`style-src 'sha256-${digest}';`));
  assert.ok(policy.includes(`script-src ${script.source};`));
  assert.match(String(contentPolicy({ styles: [style] })), /script-src &#39;none&#39;;/);
});
