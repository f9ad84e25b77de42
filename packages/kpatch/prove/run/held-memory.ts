/**
 * What the kernel holds, counted by the place that allocated it, and which places hold more than at an earlier look. For a
 * guest with `slub_debug=U`: slabs by `alloc_traces` (Documentation/mm/slub.rst), vmalloc areas by /proc/vmallocinfo, and the
 * pages that none of the kernel's accounts knows (Documentation/filesystems/proc.rst).
 */
import type { Session } from './check.ts';

/** Pages that are in use, but in no list: what `alloc_pages` gave and nobody put back. */
const PAGES = 'pages of no account';

/** Allocations whose place was in a module that is no longer in the kernel, so that it has no name. */
const GONE = 'a module that is gone';

/** Objects, areas or pages more than at the earlier look, by place: `kstrdup+0x3c/0x70`, `fix_proc_show+0x2f/0x100 [fix]`. */
export type Growth = ReadonlyMap<string, number>;

/**
 * For awk. Free pages that wait in the lists of a processor are free as well (`count:` of /proc/zoneinfo); so are areas of vmalloc
 * that wait to be purged, which happens when there are many of them.
 */
const countHeld = `
function place(at, module) { return at ~ /^0x/ ? "${GONE}" : at (module ~ /^\\[/ ? " " module : "") }
FNR == 1 { file = FILENAME; sub(/.*\\//, "", file) }
file == "alloc_traces" && /^ *[0-9]+ [^ ]/ && $2 !~ /^alloc_vmap_area/ { held[place($2, $3)] += $1 }
file == "vmallocinfo" && $3 != "unpurged" { held["vmalloc in " place($3, $4)]++ }
file == "zoneinfo" && $1 == "managed" { pages += $2 }
file == "zoneinfo" && ($1 == "nr_free_pages" || $1 == "count:") { pages -= $2 }
file == "vmstat" && $1 ~ /^nr_(file_pages|anon_pages|slab_reclaimable|slab_unreclaimable|page_table_pages)$/ { pages -= $2 }
file == "meminfo" && ($1 == "VmallocUsed:" || $1 == "Percpu:") { pages -= $2 / 4 }
END { held["${PAGES}"] = pages; for (at in held) print held[at] "\\t" at }`;

const compare = `
NR == FNR { held[$2] = $1; next }
$1 - held[$2] >= least { print "more\\t" $1 - held[$2] "\\t" $2 }`;

/** An entry of alloc_traces is followed by its call chain, indented, as far as it is known. */
const findChain = `
/^ *[0-9]+ [^ ]/ { inside = $2 == at; if (inside) chains++; next }
inside && NF > 0 { chain[chains] = chain[chains] $0 "\\n"; if (index($0, of)) through = chains }
END { printf "%s", chain[through ? through : 1] }`;

/**
 * Remembers in the guest, as look `number`, what is held now. What can be dropped is dropped before (what was used lately in a
 * second pass only), and the counters of all processors are brought together (`stat_refresh`).
 */
export async function lookAtMemory(session: Session, number: number, pauseSeconds = 0.5): Promise<void> {
  await session.sh(
    `sync; for pass in 1 2; do echo 3 >/proc/sys/vm/drop_caches; done; sleep ${pauseSeconds}; echo 1 >/proc/sys/vm/stat_refresh
awk '${countHeld}' /sys/kernel/debug/slab/*/alloc_traces /proc/vmallocinfo /proc/zoneinfo /proc/vmstat /proc/meminfo >/tmp/held.${number}`,
    { step: 'count what is held', deadlineMs: 120_000 },
  );
}

/** The places that hold at least `least` more at look `to` than at look `from`. */
export async function growth(session: Session, from: number, to: number, least: number): Promise<Growth> {
  const { output } = await session.sh(`awk -F'\\t' -v least=${least} '${compare}' /tmp/held.${from} /tmp/held.${to}`, {
    step: 'compare what is held',
  });
  return new Map([...output.matchAll(/^more\t(\d+)\t(.+)$/gm)].map(([, count, at]) => [at!.trim(), Number(count)]));
}

/** The call chain of an allocation at a place, one that runs through the patch if there is one; empty where none is kept. */
export async function callersOf(session: Session, at: string): Promise<string> {
  const { output } = await session.sh(
    `awk -v at='${at.replace(/ .*/, '')}' -v of='[${session.subject.name}]' '${findChain}' /sys/kernel/debug/slab/*/alloc_traces`,
    { step: 'look for who allocated' },
  );
  return output.trimEnd();
}
