/** What people tell the server about releases and CVEs: modules of a channel, and the answers of triage for a kernel. */
import { readFileSync } from 'node:fs';
import { readModuleFile } from 'kpatch/fleet';
import { failure, list, object, text } from 'kpatch/parts';
import { type Actor, audit } from '../access/audit.ts';
import type { Database } from './database.ts';

export interface ReleaseFacts {
  readonly digest: string;
  readonly name: string;
  readonly kernel: string;
  readonly version: number;
  readonly cves: readonly string[];
  readonly functions: number;
}

/** What a livepatch module says of itself. Errors: those of reading modules; `usage` if kpatch did not build it. */
export function releaseOfModule(file: string): ReleaseFacts {
  const { name, release, sha256, manifest } = readModuleFile(file);
  if (manifest === undefined) throw failure('usage', { problem: `${file} has no manifest: kpatch did not build it` });
  return {
    digest: sha256,
    name,
    kernel: release,
    version: manifest.version,
    cves: manifest.cves,
    functions: manifest.functions.length,
  };
}

export async function addRelease(database: Database, actor: Actor, release: ReleaseFacts, channel = ''): Promise<void> {
  const { digest, name, kernel, version, cves, functions } = release;
  await database.transaction(async (queries) => {
    await queries.query(
      `insert into fleet.release (digest, name, kernel, version, cves, functions, channel) values ($1, $2, $3, $4, $5, $6, $7)
       on conflict (digest) do update set cves = excluded.cves, channel = excluded.channel`,
      [digest, name, kernel, version, [...cves], functions, channel],
    );
    await audit(queries, actor, 'release.add', digest, { name, kernel, version });
  });
}

const answers: ReadonlySet<string> = new Set(['open', 'unknown', 'fixed', 'not affected', 'not in this configuration']);

/**
 * Reads the output of `kpatch cves --json --kernel RELEASE` without live patches. What it does not list any more is removed for
 * that kernel. Returns how many CVEs it has. Error: `usage`.
 */
export async function importCves(database: Database, actor: Actor, file: string): Promise<number> {
  let document: Readonly<Record<string, unknown>>;
  try {
    document = object(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw failure('usage', { problem: `cannot read ${file}: ${(error as Error).message}` });
  }
  const kernel = text(document.kernel);
  if (text(document.schema) !== 'kpatch.cves/1' || kernel === undefined)
    throw failure('usage', { problem: `${file} is not the output of kpatch cves --json` });
  const cves = list(document.cves).flatMap((value) => {
    const { cve, title, answer, severity, exploited, evidence } = object(value);
    const known = typeof cve === 'string' && typeof answer === 'string' && answers.has(answer);
    // A live patch of the machine that made the file says nothing about the others.
    if (list(evidence).some((one) => object(one).kind === 'live patch'))
      throw failure('usage', {
        problem: `${file} counts a live patch of the machine that made it: make it where none is active`,
      });
    return known
      ? [
          {
            cve,
            title: text(title) ?? '',
            answer,
            severity: text(severity) ?? 'unrated',
            exploited: exploited === true,
          },
        ]
      : [];
  });
  const counted = Object.values(object(document.counts)).reduce<number>((sum, one) => sum + Number(one), 0);
  if (counted !== cves.length)
    throw failure('usage', { problem: `${file} lists ${cves.length} of ${counted} CVEs: make it without a filter` });
  await database.transaction(async (queries) => {
    const column = <K extends keyof (typeof cves)[number]>(name: K) => cves.map((one) => one[name]);
    await queries.query(
      `insert into fleet.cve (id, title, severity, exploited) select * from unnest($1::text[], $2::text[], $3::text[], $4::boolean[])
       on conflict (id) do update set title = excluded.title, severity = excluded.severity, exploited = excluded.exploited, changed = now()`,
      [column('cve'), column('title'), column('severity'), column('exploited')],
    );
    await queries.query('delete from fleet.kernel_cve where kernel = $1 and not cve = any($2)', [
      kernel,
      column('cve'),
    ]);
    await queries.query(
      `insert into fleet.kernel_cve (kernel, cve, answer) select $1, cve, answer from unnest($2::text[], $3::text[]) as n(cve, answer)
       on conflict (kernel, cve) do update set answer = excluded.answer`,
      [kernel, column('cve'), column('answer')],
    );
    await audit(queries, actor, 'cves.import', kernel, { cves: cves.length });
  });
  return cves.length;
}
