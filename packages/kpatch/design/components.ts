/** The parts that pages are made of, as style sheet rules; their markup is in parts.ts. */

/** Type, links, focus, and what every page has. */
const ground = `
*{box-sizing:border-box}
html{scroll-padding-top:var(--space-4)}
body{margin:0;background:var(--bg);color:var(--fg);font:var(--size-3)/1.55 var(--sans)}
h1{font-size:var(--size-6);line-height:1.25;margin:0 0 var(--space-3);overflow-wrap:anywhere}
h2{font-size:var(--size-5);line-height:1.3;margin:var(--space-6) 0 var(--space-3)}
h3{font-size:var(--size-4);margin:var(--space-5) 0 var(--space-2);overflow-wrap:anywhere}
p{max-width:46rem;margin:var(--space-2) 0}
a{color:var(--link)}
code,pre,.mono{font-family:var(--mono);font-size:var(--size-2)}
small,.note{color:var(--soft);font-size:var(--size-2)}
ul{padding-left:1.2rem;margin:var(--space-2) 0}
li{overflow-wrap:anywhere}
summary{cursor:pointer;overflow-wrap:anywhere}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--bg);padding:var(--space-2);z-index:2}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
[hidden]{display:none!important}
`;

/** A page with its contents beside it, or above it where there is no room. */
const frame = `
.frame{max-width:84rem;margin:0 auto;padding:var(--space-5) var(--space-4) var(--space-6)}
.contents ul{list-style:none;display:flex;flex-wrap:wrap;gap:var(--space-1) var(--space-4);padding:0;margin:var(--space-4) 0 0}
.contents a{text-decoration:none}.contents a:hover{text-decoration:underline}
@media (min-width:64rem){
.frame.with-contents{display:grid;grid-template-columns:14rem minmax(0,1fr);gap:0 var(--space-6);padding-left:var(--space-5);padding-right:var(--space-5)}
.frame.with-contents>*{grid-column:2}
.contents{grid-column:1!important;grid-row:1/span 99;position:sticky;top:var(--space-4);align-self:start;max-height:95vh;overflow-y:auto;font-size:var(--size-2)}
.contents ul{flex-direction:column;gap:var(--space-2)}
}
@media print{.contents,.skip{display:none}}
`;

const banner = `
.verdict{border-left:.5rem solid;padding:var(--space-4) var(--space-5);border-radius:var(--radius);margin:var(--space-4) 0}
.verdict>strong{font-size:var(--size-5);display:block}.verdict p{margin:var(--space-1) 0 0}.verdict a{color:inherit}
.verdict.good{background:var(--good-bg);border-color:var(--good)}.verdict.good>strong{color:var(--good)}
.verdict.warn{background:var(--warn-bg);border-color:var(--warn)}.verdict.warn>strong{color:var(--warn)}
.verdict.bad{background:var(--bad-bg);border-color:var(--bad)}.verdict.bad>strong{color:var(--bad)}
`;

const words = `
.state{font:600 var(--size-2) var(--sans);white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.idle{color:var(--idle)}
dl.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:var(--space-1) var(--space-5);margin:var(--space-4) 0}
dl.facts dt{color:var(--soft)}dl.facts dd{margin:0;overflow-wrap:anywhere}
@media (max-width:40rem){dl.facts{grid-template-columns:minmax(0,1fr)}dl.facts dd{margin-bottom:var(--space-2)}}
`;

const code = `
.scroll{overflow:auto;border:1px solid var(--line);border-radius:var(--radius);max-height:38rem}
pre{margin:0;padding:var(--space-3) var(--space-4);background:var(--panel);overflow-x:auto;border-radius:var(--radius)}
.scroll pre{border-radius:0;overflow:visible}
pre span{display:block;min-height:1.4em}
.add{background:var(--add)}.del{background:var(--del)}.hunk{color:var(--soft)}
.copy{position:relative}.copy button{position:absolute;top:var(--space-2);right:var(--space-2)}.copy pre{padding-right:6rem}
@media (max-width:40rem){.copy button{position:static;margin-top:var(--space-2)}.copy pre{padding-right:var(--space-4)}}
button,input{font:inherit;font-size:var(--size-2);padding:var(--space-1) var(--space-3);border:1px solid var(--soft);border-radius:var(--radius);background:var(--bg);color:var(--fg);max-width:100%}
button{cursor:pointer}
@media print{.scroll{max-height:none;overflow:visible}button,input{display:none}}
`;

const tables = `
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600}
table.data{font-size:var(--size-2)}
.data th,.data td{padding:var(--space-2) var(--space-4) var(--space-2) 0;vertical-align:top;border-bottom:1px solid var(--line)}
.data thead th{color:var(--soft);white-space:nowrap}
.data tbody th{font-family:var(--mono);font-weight:400;overflow-wrap:anywhere}.data th small{font-family:var(--sans);font-weight:400}
@media (max-width:40rem){
.data thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.data tr{display:block;padding:var(--space-3) 0;border-bottom:1px solid var(--line)}
.data th,.data td{display:block;padding:0;border:0}
.data tbody th{font-weight:600}
}
`;

/** All rules, after `tokens`. */
export const components = ground + frame + banner + words + code + tables;
