/** The style of the factory's page: light and dark, from 390 px up. */
export const style = `
:root { color-scheme: light dark; --text: #1c1e21; --dim: #55595f; --back: #fff; --line: #d5d8dc; --soft: #f3f4f6; --link: #0b57d0;
  --good: #17693a; --bad: #a3211f; --maybe: #7a4d00; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8ea; --dim: #a8adb4; --back: #15171a; --line: #3a3f45; --soft: #1f2226;
  --link: #8ab4f8; --good: #6fd08c; --bad: #ff9d97; --maybe: #f0c36d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
a { color: var(--link); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { background: var(--soft); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.text { min-width: 11rem; } th.name { white-space: nowrap; }
form { display: flex; flex-wrap: wrap; gap: .6rem; align-items: end; margin: 1rem 0; }
label { display: flex; flex-direction: column; font-size: .875rem; color: var(--dim); }
input, select, button { font: inherit; padding: .35rem .5rem; color: var(--text); background: var(--back); border: 1px solid var(--dim); border-radius: .25rem; }
button { cursor: pointer; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.good { color: var(--good); } .bad { color: var(--bad); } .maybe { color: var(--maybe); } .dim { color: var(--dim); }
.title { display: block; font-weight: normal; color: var(--dim); font-size: .875rem; min-width: 12rem; }
pre { font: .8125rem/1.45 ui-monospace, monospace; margin: 0; padding: .6rem; background: var(--soft); }
nav.pages { display: flex; gap: 1rem; margin: 1rem 0; }
ul.evidence { margin: .3rem 0; padding-left: 1.2rem; }
`;
