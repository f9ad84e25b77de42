/** Rules of the report alone: code side by side, checks, pictures. */
export const style = `
.code-table td,.code-table th{padding:.05rem .75rem;vertical-align:top;white-space:pre}
.code-table th{position:sticky;top:0;background:var(--panel);padding:.4rem .75rem}
.code-table td.code,.code-table td.off{font-family:var(--mono);font-size:var(--size-2)}
.code-table td.off{color:var(--soft);text-align:right;padding-right:.4rem}
.code-table .left{border-right:1px solid var(--line)}
tr.diff td.left.has{background:var(--del)}tr.diff td.right.has{background:var(--add)}
tr.gap td{color:var(--soft);background:var(--panel);text-align:center;font-size:var(--size-2)}
tr.first td{border-top:2px solid var(--link)}
.unified{display:none}
@media (max-width:48rem){.side-by-side{display:none}.unified{display:block}.unified pre{font-size:var(--size-1)}}
.check{border-bottom:1px solid var(--line)}.check>summary,.group>summary{padding:.55rem .25rem}
.check>div{padding:0 .25rem .75rem 2rem}.group>.check{margin-left:1.2rem}
.time,.varies{color:var(--soft);font-size:var(--size-2)}
.mark{display:inline-block;min-width:4.6rem;font-weight:600}
.reason{color:var(--bad);font-weight:600;margin:.2rem 0}
ul.evidence{margin:.2rem 0 .6rem}details details{margin:.4rem 0}
@media (max-width:40rem){.check>div{padding-left:.5rem}.mark{min-width:3.8rem}.group>.check{margin-left:0}}
figure{margin:var(--space-4) 0}figcaption{color:var(--soft);font-size:var(--size-2)}
svg{display:block;max-width:100%;height:auto}svg.wide{max-width:none}svg.chart{width:100%;max-width:60rem}
svg text{fill:var(--fg);font:13px var(--sans)}svg .soft{fill:var(--soft)}
svg .box{fill:var(--panel);stroke:var(--line)}svg .new{fill:var(--good-bg);stroke:var(--good)}
svg .edge{stroke:var(--soft);fill:none}svg .axis{stroke:var(--soft)}svg .grid{stroke:var(--line)}
svg .curve{stroke:var(--link);stroke-width:2.5;fill:none}svg .under{fill:var(--link);opacity:.1}
@media print{svg.wide{max-width:100%}.code-table td{white-space:pre-wrap}h2{break-after:avoid}.check{break-inside:avoid}a{color:inherit}details:not([open])>:not(summary){display:none}}
`;
