/** Style rules of the fleet pages, besides the design system. */
export const style = `
body{--chart-1:var(--link);--chart-2:var(--idle)}
.top{border-bottom:1px solid var(--line);background:var(--panel)}
.top>div{max-width:84rem;margin:0 auto;padding:var(--space-3) var(--space-4);display:flex;flex-wrap:wrap;align-items:center;gap:var(--space-2) var(--space-5)}
.top .brand{font-weight:700;color:var(--fg);text-decoration:none;letter-spacing:-.01em}
.top ul{display:flex;flex-wrap:wrap;gap:var(--space-1) var(--space-4);list-style:none;margin:0;padding:0}
.top li a{color:var(--soft);text-decoration:none;padding:var(--space-1) 0;border-bottom:2px solid transparent}
.top li a:hover{color:var(--fg)}
.top li a[aria-current]{color:var(--fg);border-color:var(--link)}
.top form{margin-left:auto;display:flex;gap:var(--space-2)}
.top input{width:15rem}
.crumb{font-size:var(--size-2);margin:0 0 var(--space-2)}
.lead{color:var(--soft);margin:0 0 var(--space-5)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:var(--space-4);margin:var(--space-4) 0 var(--space-5);padding:0;list-style:none}
.tiles li{border:1px solid var(--line);border-radius:var(--radius);padding:var(--space-4);background:var(--panel)}
.tiles strong{display:block;font-size:1.9rem;line-height:1.15;font-weight:650;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:var(--size-2)}
.cards{display:grid;gap:var(--space-4)}
@media (min-width:64rem){.cards{grid-template-columns:repeat(2,minmax(0,1fr))}.cards .full{grid-column:1/-1}}
.nowrap{white-space:nowrap}
.card{margin:0;border:1px solid var(--line);border-radius:var(--radius);padding:var(--space-4)}
.card h3{margin:0 0 var(--space-1);font-size:var(--size-3)}
.card p{margin:0 0 var(--space-3);color:var(--soft);font-size:var(--size-2)}
.number{text-align:right!important;font-variant-numeric:tabular-nums;white-space:nowrap}
.data tbody th.plain{font-family:var(--sans)}
.bar{display:block;width:100%;min-width:6rem;height:.5rem;border-radius:.25rem;background:var(--line);margin-top:var(--space-1)}
.bar .part-good{fill:var(--bar-good)}.bar .part-bad{fill:var(--bad)}.bar .part-warn{fill:var(--bar-warn)}
.pill{display:inline-block;font:600 var(--size-1)/1.6 var(--sans);padding:0 var(--space-2);border-radius:1rem;border:1px solid currentColor;white-space:nowrap}
.pill.good{background:var(--good-bg)}.pill.bad{background:var(--bad-bg)}.pill.warn{background:var(--warn-bg)}
.why{list-style:none;padding:0;margin:var(--space-2) 0}
.why li{padding:var(--space-1) 0}
.rings{list-style:none;padding:0;margin:var(--space-4) 0;display:grid;gap:var(--space-3)}
@media (min-width:48rem){.rings{grid-template-columns:repeat(auto-fit,minmax(12rem,1fr))}}
.rings li{border:1px solid var(--line);border-radius:var(--radius);padding:var(--space-4)}
.rings li.now{border-color:var(--link);box-shadow:inset 0 0 0 1px var(--link)}
.rings h3{margin:0;font-size:var(--size-3);display:flex;justify-content:space-between;gap:var(--space-2);align-items:baseline}
.rings p{margin:var(--space-2) 0 0;font-size:var(--size-2);color:var(--soft)}
.chart{display:block;width:100%;height:auto;overflow:visible}
.chart text{fill:var(--soft);font:12px var(--sans)}
.chart .grid{stroke:var(--line);stroke-width:1}
.chart .main{fill:none;stroke:var(--chart-1);stroke-width:2;stroke-linejoin:round}
.chart .second{fill:none;stroke:var(--chart-2);stroke-width:2;stroke-dasharray:5 4}
.chart .fill{fill:var(--chart-1);opacity:.13}
.chart .limit{stroke:var(--bad);stroke-width:1.5}.chart .limit-text{fill:var(--bad);font-weight:600}
.chart .wait{stroke:var(--bar-warn);stroke-width:1.5;stroke-dasharray:2 3}.chart .wait-text{fill:var(--warn)}
.chart .zone{fill:var(--bad-bg)}
.chart .mark{stroke:var(--soft);stroke-dasharray:1 3}
.chart .dot{fill:var(--chart-1)}.chart .dot.bad{fill:var(--bad)}
.legend{display:flex;gap:var(--space-4);flex-wrap:wrap;font-size:var(--size-2);color:var(--soft);margin:var(--space-2) 0 0;padding:0;list-style:none}
.legend li::before{content:"";display:inline-block;width:1.4rem;border-top:2px solid var(--chart-1);vertical-align:middle;margin-right:var(--space-2)}
.legend .two::before{border-top:2px dashed var(--chart-2)}
@media (max-width:40rem){.chart.wide{display:none}.top form,.top input{width:100%;margin-left:0}
.data td[data-name]::before{content:attr(data-name) ": ";color:var(--soft)}.data .number{text-align:left!important}}
@media (min-width:40.01rem){.chart.narrow{display:none}}
.log{list-style:none;padding:0;margin:var(--space-3) 0}
.log li{display:grid;grid-template-columns:9.5rem minmax(0,1fr);gap:var(--space-4);padding:var(--space-2) 0;border-bottom:1px solid var(--line);font-size:var(--size-2)}
.log time{color:var(--soft);font-variant-numeric:tabular-nums}
@media (max-width:40rem){.log li{grid-template-columns:1fr;gap:0}}
.pill+.pill{margin-left:var(--space-1)}
.pages{display:flex;gap:var(--space-4);margin:var(--space-4) 0}
.filters{display:flex;flex-wrap:wrap;gap:var(--space-3);align-items:end;margin:var(--space-4) 0}
.filters label{display:flex;flex-direction:column;gap:var(--space-1);font-size:var(--size-2);color:var(--soft)}
select{font:inherit;font-size:var(--size-2);padding:var(--space-1) var(--space-3);border:1px solid var(--soft);border-radius:var(--radius);background:var(--bg);color:var(--fg);min-height:2.1rem;max-width:100%}
.filters button,.top button{background:var(--panel)}
.empty{border:1px dashed var(--line);border-radius:var(--radius);padding:var(--space-5);color:var(--soft)}
.empty p{margin:0 auto 0 0}
`;
