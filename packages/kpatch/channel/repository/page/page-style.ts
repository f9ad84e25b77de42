/** Style and script of the page. The script only brings up to date what the page says without it. */

export const pageStyle = `
:root{--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--ground:#fff;--panel:#f6f8fa;--link:#0550ae;--good:#1a7f37;--warn:#9a6700;--bad:#b42318;--bar-good:#2da44e;--bar-warn:#d4a72c;--bar-bad:#8c959f}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b1;--line:#30363d;--ground:#0d1117;--panel:#161b22;--link:#79b8ff;--good:#56d364;--warn:#e3b341;--bad:#ff8b80;--bar-good:#2ea043;--bar-warn:#bb8009;--bar-bad:#6e7681}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1rem 1.25rem 3rem;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1.05rem;margin:0;font-family:ui-monospace,monospace;overflow-wrap:anywhere}
a{color:var(--link)}p{margin:.4rem 0}.hint,.about,.dates{color:var(--soft)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.scroll{overflow-x:auto}
table.calendar{width:100%;min-width:34rem;border-collapse:collapse;font-size:.9rem}
.calendar th{text-align:left;font-weight:600;padding:.3rem .6rem .3rem 0;white-space:nowrap}
.calendar tbody th{font-family:ui-monospace,monospace;font-weight:400}
.calendar tr{border-bottom:1px solid var(--line)}
.calendar .when{position:relative;width:60%;min-width:30rem}
.calendar .until{white-space:nowrap;padding-left:.75rem}
.scale span{position:absolute;top:.3rem;font-weight:400;font-size:.75rem;color:var(--soft);border-left:1px solid var(--line);padding-left:.2rem}
.bar{position:absolute;top:25%;height:50%;border-radius:.25rem;background:var(--bar-good)}
.ending .bar{background:var(--bar-warn)}.ended .bar{background:var(--bar-bad)}
.today{position:absolute;top:0;bottom:0;width:2px;background:var(--ink)}
.state{font:600 .8rem system-ui,sans-serif;color:var(--good)}.ending .state{color:var(--warn)}.ended .state{color:var(--bad)}
#kernels{display:grid;gap:.75rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr))}
article{border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem;background:var(--panel)}
.level.critical,.level.important{color:var(--bad);font-weight:600}.level.moderate{color:var(--warn)}.level.unrated,.level.low,.level.none{color:var(--soft)}
ul{padding-left:1.1rem;margin:.4rem 0}li{margin:.2rem 0;overflow-wrap:anywhere}
summary{cursor:pointer}input{font:inherit;padding:.35rem .5rem;border:1px solid var(--soft);border-radius:.35rem;background:var(--ground);color:var(--ink);max-width:100%}
pre{background:var(--panel);border:1px solid var(--line);border-radius:.35rem;padding:.75rem;overflow-x:auto}.fingerprint{overflow-wrap:anywhere}
#stale{color:var(--bad);font-weight:600}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
[hidden]{display:none!important}
@media print{body{max-width:none}details>*{display:block}input,label,#found{display:none}article{break-inside:avoid}.bar{print-color-adjust:exact}}
`;

export const pageScript = `
(function(){
var day=864e5,now=Date.now(),today=new Date(now).toISOString().slice(0,10);
var valid=document.getElementById('valid');
if(valid&&Date.parse(valid.dateTime)<now)document.getElementById('stale').hidden=false;
var table=document.querySelector('.calendar');
if(table){var at=100*(Date.parse(today)-Date.parse(table.dataset.start))/day/table.dataset.span;
document.querySelectorAll('.today').forEach(function(e){e.style.left=Math.min(100,Math.max(0,at))+'%'})}
document.querySelectorAll('[data-until]').forEach(function(e){
var left=Math.round((Date.parse(e.dataset.until)-Date.parse(today))/day),state=left<0?'ended':left<=30?'ending':'supported';
e.className=state;var s=e.querySelector('.state');
if(s)s.textContent=state==='ended'?'ended':state==='ending'?'ends in '+left+' day'+(left===1?'':'s'):'supported'});
var find=document.getElementById('find'),found=document.getElementById('found'),cards=[].slice.call(document.querySelectorAll('article'));
find.addEventListener('input',function(){var q=find.value.trim().toLowerCase(),n=0;
cards.forEach(function(c){var hit=c.textContent.toLowerCase().indexOf(q)>=0;c.hidden=!hit;if(hit)n++});
found.textContent=q===''?'':n+(n===1?' kernel':' kernels')});
})();
`;
