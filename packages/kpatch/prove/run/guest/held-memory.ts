/**
 * Counts kernel memory by allocation call site and finds the call sites that grew. For a guest with `slub_debug=U`: slabs
 * from `alloc_traces` (Documentation/mm/slub.rst), vmalloc areas from /proc/vmallocinfo, and pages that appear in no
 * statistic of the kernel (Documentation/filesystems/proc.rst).
 */
import type { Session } from '../check.ts';

/** Pages in use that no statistic accounts for: allocated with `alloc_pages` and not freed. */
const PAGES = 'pages of no account';

/** Allocations by a module that is no longer loaded, so that the call site has no name. */
const GONE = 'a module that is gone';

/** Growth in objects, areas or pages by call site: `kstrdup+0x3c/0x70`, `fix_proc_show+0x2f/0x100 [fix]`. */
export type Growth = ReadonlyMap<string, number>;

/**
 * An awk program. Pages in per-CPU lists are free too (`count:` of /proc/zoneinfo), and so are vmalloc areas that wait to
 * be purged, which happens when there are many of them. `traces` is 1 for files `alloc_traces`: they have 70,000 lines, most of
 * call chains, for which all other rules would cost more than reading them does.
 */
const countHeld = `
function place(at, module) { return at ~ /^0x/ ? "${GONE}" : at (module ~ /^\\[/ ? " " module : "") }
traces { if (/^ *[0-9]+ [^ ]/ && $2 !~ /^alloc_vmap_area/) held[place($2, $3)] += $1; next }
FNR == 1 { file = FILENAME; sub(/.*\\//, "", file) }
file == "vmallocinfo" && $3 != "unpurged" { held["vmalloc in " place($3, $4)]++ }
file == "zoneinfo" && $1 == "managed" { pages += $2 }
file == "zoneinfo" && ($1 == "nr_free_pages" || $1 == "count:") { pages -= $2 }
file == "vmstat" && $1 ~ /^nr_(file_pages|anon_pages|slab_reclaimable|slab_unreclaimable|page_table_pages)$/ { pages -= $2 }
file == "meminfo" && ($1 == "VmallocUsed:" || $1 == "Percpu:") { pages -= $2 / 4 }
END { held["${PAGES}"] = pages; for (at in held) print held[at] "\\t" at }`;

const TRACES = '/sys/kernel/debug/slab';

const compare = `
NR == FNR { held[$2] = $1; next }
$1 - held[$2] >= least { print "more\\t" $1 - held[$2] "\\t" $2 }`;

/** An entry of alloc_traces is followed by its indented call chain, if known. */
const findChain = `
/^ *[0-9]+ [^ ]/ { inside = $2 == at; if (inside) chains++; next }
inside && NF > 0 { chain[chains] = chain[chains] $0 "\\n"; if (index($0, of)) through = chains }
END { printf "%s", chain[through ? through : 1] }`;

/**
 * Records in the guest, as snapshot `number`, what is allocated now. Caches are dropped first (recently used entries only
 * in the second pass), and per-CPU counters are folded (`stat_refresh`). Open files (the cache `filp`) are counted first: each
 * file that is read for this is one more until RCU frees it.
 */
export async function lookAtMemory(session: Session, number: number, pauseSeconds = 0.5): Promise<void> {
  await session.sh(
    `first=${TRACES}/filp/alloc_traces
traces=$(for file in $first ${TRACES}/*/alloc_traces; do echo $file; done | awk '!seen[$0]++')
sync; for pass in 1 2; do echo 3 >/proc/sys/vm/drop_caches; done; sleep ${pauseSeconds}; echo 1 >/proc/sys/vm/stat_refresh
awk '${countHeld}' traces=1 $traces traces=0 /proc/vmallocinfo /proc/zoneinfo /proc/vmstat /proc/meminfo >/tmp/held.${number}`,
    { step: 'count allocations', deadlineMs: 120_000 },
  );
}

/** The call sites that hold at least `least` more in snapshot `to` than in snapshot `from`. */
export async function growth(session: Session, from: number, to: number, least: number): Promise<Growth> {
  const { output } = await session.sh(`awk -F'\\t' -v least=${least} '${compare}' /tmp/held.${from} /tmp/held.${to}`, {
    step: 'compare allocations',
  });
  return new Map([...output.matchAll(/^more\t(\d+)\t(.+)$/gm)].map(([, count, at]) => [at!.trim(), Number(count)]));
}

/** A call chain of an allocation at a call site, preferably one through the patch; empty if none is recorded. */
export async function callersOf(session: Session, at: string): Promise<string> {
  const { output } = await session.sh(
    `awk -v at='${at.replace(/ .*/, '')}' -v of='[${session.subject.name}]' '${findChain}' ${TRACES}/*/alloc_traces`,
    { step: 'find the allocator' },
  );
  return output.trimEnd();
}
