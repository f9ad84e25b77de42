/** The style sheet of the report: system fonts, light and dark mode, print. */
export const style = `
:root { color-scheme: light dark; --bg: #fdfdfc; --fg: #1c1e21; --soft: #55595f; --line: #d9dbde; --panel: #f3f4f4;
  --good: #136c3a; --good-bg: #e3f4e9; --bad: #a3161b; --bad-bg: #fdeaea; --idle: #595f69; --link: #0b57a4;
  --add: #dff3e4; --del: #fbe3e4; --mark: #fff3c4; }
@media (prefers-color-scheme: dark) { :root { --bg: #16181b; --fg: #e7e8ea; --soft: #a9aeb6; --line: #3a3e44;
  --panel: #1f2226; --good: #7fd6a0; --good-bg: #163524; --bad: #ff9c9c; --bad-bg: #421c1e; --idle: #a9aeb6;
  --link: #8cc2ff; --add: #173a25; --del: #472125; --mark: #4a4014; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--bg); color: var(--fg); font: 1rem/1.55 system-ui, sans-serif; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: 1rem; background: var(--bg); padding: .5rem; }
header, main, footer { max-width: 78rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.75rem; } footer { padding-bottom: 3rem; color: var(--soft); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: .5rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; overflow-wrap: anywhere; }
p { max-width: 46rem; } a { color: var(--link); } code, pre, td.code, td.off { font-family: ui-monospace, monospace; font-size: .86rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.verdict { border-left: .5rem solid; padding: .9rem 1.25rem; border-radius: .35rem; margin: 1rem 0; }
.verdict strong { font-size: 1.35rem; display: block; } .verdict p { margin: .3rem 0 0; }
.proven { background: var(--good-bg); border-color: var(--good); } .proven strong { color: var(--good); }
.not-proven { background: var(--bad-bg); border-color: var(--bad); } .not-proven strong { color: var(--bad); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; margin: 1rem 0 0; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 1rem 0; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .35rem; max-height: 38rem; overflow-y: auto; }
pre { margin: 0; padding: .75rem 1rem; background: var(--panel); overflow-x: auto; border-radius: .35rem; }
.scroll pre { border-radius: 0; overflow: visible; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
.code-table td, .code-table th { padding: .05rem .75rem; vertical-align: top; white-space: pre; }
.code-table th { position: sticky; top: 0; background: var(--panel); padding: .4rem .75rem; }
.code-table td.off { color: var(--soft); text-align: right; padding-right: .4rem; }
.code-table .left { border-right: 1px solid var(--line); }
tr.diff td.left.has { background: var(--del); } tr.diff td.right.has { background: var(--add); }
tr.gap td { color: var(--soft); background: var(--panel); text-align: center; font-size: .86rem; }
tr.first td { border-top: 2px solid var(--link); }
.add { background: var(--add); } .del { background: var(--del); } .hunk { color: var(--soft); }
pre span { display: block; min-height: 1.4em; }
.check { border-bottom: 1px solid var(--line); } .check > summary { padding: .55rem .25rem; cursor: pointer; }
.check > div { padding: 0 .25rem .75rem 2rem; } .check .time { color: var(--soft); font-size: .9rem; }
.mark { display: inline-block; min-width: 4.6rem; font-weight: 600; } .held { color: var(--good); }
.failed { color: var(--bad); } .not-run { color: var(--idle); }
.reason { color: var(--bad); font-weight: 600; margin: .2rem 0; } ul.evidence { padding-left: 1.1rem; margin: .2rem 0 .6rem; }
.varies { color: var(--soft); } details details { margin: .4rem 0; } summary { overflow-wrap: anywhere; }
figure { margin: 1rem 0; } figcaption { color: var(--soft); } svg { max-width: 100%; height: auto; } svg.wide { max-width: none; }
svg text { fill: var(--fg); font: 13px system-ui, sans-serif; } svg .soft { fill: var(--soft); }
svg .box { fill: var(--panel); stroke: var(--line); } svg .new { fill: var(--good-bg); stroke: var(--good); }
svg .edge { stroke: var(--soft); fill: none; } svg .axis { stroke: var(--line); } svg .curve { stroke: var(--link); stroke-width: 2.5; fill: none; }
.same-note { color: var(--soft); }
@media (max-width: 40rem) { dl.facts { grid-template-columns: 1fr; } dl.facts dd { margin-bottom: .5rem; }
  .check > div { padding-left: .5rem; } body { font-size: .97rem; } .mark { min-width: 3.8rem; } }
@media print { svg.wide { max-width: 100%; } :root { color-scheme: light; --bg: #fff; --fg: #000; --panel: #f6f6f6; } nav, .skip { display: none; }
  .scroll { max-height: none; overflow: visible; } .code-table td { white-space: pre-wrap; } h2 { break-after: avoid; }
  details:not([open]) > :not(summary) { display: none; } .check { break-inside: avoid; } a { color: inherit; } }
`;
