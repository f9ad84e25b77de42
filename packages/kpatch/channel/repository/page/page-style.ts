/** Rules and script of the channel page alone. The script only brings up to date what the page says without it. */

export const pageStyle = `
.level.critical,.level.important{color:var(--bad);font-weight:600}.level.moderate{color:var(--warn)}.level.unrated,.level.low,.level.none{color:var(--soft)}
@media (min-width:40rem){.kernel th{width:30%}}.kernel td ul{max-height:20rem;overflow-y:auto}
#find{width:22rem}#ended{margin-top:var(--space-5)}
.copy pre{border:1px solid var(--line)}
`;

export const pageScript = `
(function(){
var day=864e5,now=Date.now(),today=new Date(now).toISOString().slice(0,10);
var valid=document.getElementById('valid');
if(valid&&Date.parse(valid.dateTime)<now)document.getElementById('stale').hidden=false;
var rows=[].slice.call(document.querySelectorAll('tr.kernel'));
rows.forEach(function(e){
var left=Math.round((Date.parse(e.dataset.until)-Date.parse(today))/day),s=e.querySelector('.state');
s.className='state '+(left<0?'bad':left<=30?'warn':'good');
s.textContent=left<0?'ended':left>30?'supported':left===0?'ends today':'ends in '+left+' day'+(left===1?'':'s')});
var find=document.getElementById('find'),found=document.getElementById('found'),ended=document.getElementById('ended');
if(find)find.addEventListener('input',function(){var q=find.value.trim().toLowerCase(),n=0;
rows.forEach(function(r){var hit=r.textContent.toLowerCase().indexOf(q)>=0;r.hidden=!hit;if(hit)n++;if(hit&&q!==''&&ended&&ended.contains(r))ended.open=true});
[].forEach.call(document.querySelectorAll('table.data'),function(t){var any=[].some.call(t.querySelectorAll('tr.kernel'),function(r){return!r.hidden});t.hidden=!any;var h=t.previousElementSibling;if(h&&h.tagName==='H3')h.hidden=!any});
found.textContent=q===''?'':n===0?'not in this channel':n+(n===1?' kernel':' kernels')});
[].forEach.call(document.querySelectorAll('.copy button'),function(b){if(!navigator.clipboard)return;b.hidden=false;
b.addEventListener('click',function(){navigator.clipboard.writeText(b.parentNode.querySelector('pre').textContent).then(function(){b.textContent='Copied'})})});
})();
`;
