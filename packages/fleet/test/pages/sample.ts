/** A fleet that never ran, for tests and pictures of the pages: hosts, patches, CVEs and rollouts in every state. */
import { commandLine } from '#fleet/access/audit.ts';
import { createRollout } from '#fleet/rollout/commands.ts';
import { count, emptyGroup, judge, tally } from '#fleet/rollout/evidence.ts';
import { haltText } from '#fleet/rollout/reason.ts';
import { addEvent, setLook, setRing, setState } from '#fleet/rollout/store.ts';
import type { Database } from '#fleet/store/database.ts';

export const hostile = '<script>alert(1)</script> & "quotes" \'x\'';
const hour = 3_600_000;
const kernels = ['6.1.0-47-amd64', '6.1.0-44-amd64', '6.12.48+deb13-amd64', '5.10.0-36-amd64'];
export const digestOf = (at: number): string => String(at).padStart(64, '0');

/** Fills a database. `odd` is put into every text that a host, channel or person chooses. */
export async function sampleFleet(database: Database, hosts: number, now: number, odd = ''): Promise<void> {
  await database.query(
    `insert into fleet.host (id, name, machine, key, labels, enrolled)
     select lpad(to_hex(n), 32, '0'), case when n % 997 = 5 then $2 else '' end || (array['web', 'db', 'build', 'edge'])[1 + n % 4] || '-' || n || '.example.org', '', '',
       array['site=' || (array['berlin', 'oslo', 'lyon'])[1 + n % 3]] || case when n % 50 = 0 then array['env=test'] else '{}' end, $3
     from generate_series(1, $1::int) as n`,
    [hosts, odd, new Date(now - 90 * 24 * hour)],
  );
  await database.query(
    `insert into fleet.checkin (host, seen, counter, reports, kernel, package, patch, condition)
     select lpad(to_hex(n), 32, '0'), $2::timestamptz - (case when n % 211 = 0 then 90000 else n % 290 end) * interval '1 second', 8000, 8000,
       (array['6.1.0-47-amd64', '6.1.0-47-amd64', '6.1.0-47-amd64', '6.1.0-44-amd64', '6.12.48+deb13-amd64', '6.12.48+deb13-amd64', '5.10.0-36-amd64'])[1 + n % 7], '6.1.170-3',
       case when n % 7 < 3 then (case when n % 50 = 0 then $4 else $3 end) when n % 7 = 4 then $5 else '' end,
       (array['ok', 'ok', 'ok', 'attention', 'ok', 'reboot'])[1 + n % 6]
     from generate_series(1, $1::int) as n`,
    [hosts, new Date(now), digestOf(1), digestOf(2), digestOf(3)],
  );
  await database.query('analyze');
  for (const [at, name, kernel, version, cves] of [
    [1, 'livepatch_6_1', kernels[0], 4, ['CVE-2026-31431', 'CVE-2026-23111', 'CVE-2026-20817']],
    [
      2,
      'livepatch_6_1',
      kernels[0],
      5,
      ['CVE-2026-31431', 'CVE-2026-23111', 'CVE-2026-20817', 'CVE-2026-43284', 'CVE-2026-43500'],
    ],
    [3, 'livepatch_6_12', kernels[2], 2, ['CVE-2026-31431']],
  ] as const)
    await database.query(
      'insert into fleet.release (digest, name, kernel, version, cves, functions) values ($1, $2, $3, $4, $5, 12)',
      [digestOf(at), `${name}${odd}`, kernel, version, [...cves]],
    );
  for (const [id, title, severity, exploited] of [
    ['CVE-2026-31431', 'crypto: algif_aead: write past the pages of a socket', 'critical', true],
    ['CVE-2026-43284', 'net/sched: use after free of a filter that is replaced while it is dumped', 'important', false],
    [
      'CVE-2026-23111',
      'netfilter: nf_tables: set element is freed twice when a transaction is aborted',
      'important',
      false,
    ],
    ['CVE-2026-43500', 'xfs: read past the end of a directory block', 'moderate', false],
    ['CVE-2026-20817', 'wifi: mac80211: length of an element is not checked', 'low', false],
  ] as const) {
    await database.query('insert into fleet.cve (id, title, severity, exploited) values ($1, $2, $3, $4)', [
      id,
      `${title}${odd}`,
      severity,
      exploited,
    ]);
    for (const [at, kernel] of kernels.entries())
      await database.query('insert into fleet.kernel_cve (kernel, cve, answer, since) values ($1, $2, $3, $4)', [
        kernel,
        id,
        (at + id.length + Number(id.at(-1))) % 5 === 0
          ? 'unknown'
          : (at + Number(id.at(-2))) % 4 === 3
            ? 'not affected'
            : 'open',
        new Date(now - (3 + at * 4) * 24 * hour),
      ]);
  }
  await database.query(
    "insert into fleet.incident (host, at, kind, kernel, patch, key, text) values (lpad(to_hex(50), 32, '0'), $1, 'crash', $2, $3, 'k', $4)",
    [
      new Date(now - 2 * hour),
      kernels[0],
      digestOf(2),
      `boot 4f1c was lost 3 minutes after livepatch_6_1 was loaded${odd}`,
    ],
  );
}

/** A rollout with its history: harmless and running in its second ring, or halted in the first. Returns its id. */
export async function sampleRollout(
  database: Database,
  kind: 'running' | 'halted',
  hosts: number,
  now: number,
  odd = '',
): Promise<string> {
  const started = now - (kind === 'running' ? 40 : 16) * hour;
  const sizes = [Math.ceil(hosts * 0.01), Math.ceil(hosts * 0.1), hosts];
  const actor = { ...commandLine, who: `anna${odd}` };
  const night = { days: ['mon', 'tue', 'wed', 'thu'] as const, from: '22:00', to: '05:00', zone: 'Europe/Berlin' };
  const rings = ['canary', 'early', 'all'].map((name, at) => ({
    name: `${name}${odd}`,
    labels: at === 0 ? ['env=test'] : [],
    share: sizes[at]! / hosts,
    soakSeconds: 86_400,
    windows: at === 2 ? [night] : [],
  }));
  const title = `${kind === 'running' ? 'November fixes for 6.1' : 'Fix of CVE-2026-43284'}${odd}`;
  const [release, previous] = [digestOf(2), digestOf(1)];
  const id = await createRollout(
    database,
    actor,
    { title, kernel: kernels[0]!, release, previous, watchSeconds: 172_800, rings },
    started - hour,
  );
  await setState(database, id, 'running', '', started);
  await addEvent(database, id, started, 'start', `${actor.who} started it.`);
  await ringSteps(database, id, kind, started, sizes);
  const history = {
    ...emptyGroup,
    hostDays: hosts * 90,
    crash: Math.round((hosts * 90) / 20_000),
    oops: Math.round((hosts * 90) / 30_000),
    missing: Math.round((hosts * 90) / 500),
  };
  let sums = tally(history);
  let [patched, hostDays] = [0, 0];
  const ticks = kind === 'running' ? 240 : 48;
  for (let tick = 0; tick <= ticks; tick++) {
    const at = started + ((now - started) * tick) / ticks;
    const open = kind === 'running' && tick > 160 ? 1 : 0;
    patched = Math.min(sizes[open]!, patched + Math.ceil(sizes[open]! / 8));
    const days = ((now - started) / ticks / hour / 24) * patched;
    hostDays += days;
    const crash = kind === 'halted' ? (tick === 36 || tick === 48 ? 1 : 0) : tick === 190 ? 1 : 0;
    sums = count(sums, {
      patched: { ...emptyGroup, hostDays: days, crash },
      unpatched: { ...emptyGroup, hostDays: days * 9, missing: tick % 40 === 0 ? 1 : 0 },
    });
    const judgement = judge(sums, { tried: patched, failed: 0, slow: Math.floor(patched / 80) });
    const crashes = judgement.findings[0]!;
    const point = {
      evidence: judgement.evidence,
      hostDays,
      patched,
      hosts,
      crashes: crashes.events,
      expected: crashes.expected,
    };
    await addEvent(database, id, at, 'look', '', point);
    if (tick < ticks) continue;
    const facts = sizes.map((size, ring) => {
      const all = size - (sizes[ring - 1] ?? 0);
      return {
        hosts: all,
        patched: Math.min(all, Math.max(0, patched - (sizes[ring - 1] ?? 0))),
        away: ring === open ? 3 : 0,
        unable: ring === 0 ? 1 : 0,
      };
    });
    const text = `Ring early${odd} is being observed for 24 hours, until 2026-12-02 03:00 UTC.`;
    await setLook(database, id, {
      at,
      because: [{ code: 'soaking', text, until: now + 15 * hour }],
      facts: { judgement, hostDays, rings: facts },
    });
    if (kind === 'running') continue;
    await setState(database, id, 'halted', haltText(judgement), at);
    await addEvent(database, id, at, 'halt', haltText(judgement));
  }
  return id;
}

async function ringSteps(
  database: Database,
  id: string,
  kind: 'running' | 'halted',
  started: number,
  sizes: readonly number[],
): Promise<void> {
  await setRing(database, id, 0, 'open', started);
  await addEvent(database, id, started, 'open', `Ring canary opens for ${sizes[0]} hosts.`);
  await setRing(database, id, 0, 'soaking', started + hour);
  if (kind === 'halted') return;
  await setRing(database, id, 0, 'done', started + 26 * hour);
  await setRing(database, id, 1, 'open', started + 27 * hour);
  await addEvent(database, id, started + 27 * hour, 'open', `Ring early opens for ${sizes[1]} hosts.`);
  await setRing(database, id, 1, 'soaking', started + 28 * hour);
}
