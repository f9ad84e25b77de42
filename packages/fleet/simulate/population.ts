/** Many simulated machines in a database, without asking the server for each of them. */
import type { Database } from '../store/database.ts';
import { SimulatedHost, type SimulatedPatch } from './host.ts';

export interface PopulationOptions {
  readonly hosts: number;
  /** Kernels, and how many of the hosts run each (shares are relative). */
  readonly kernels: readonly { readonly release: string; readonly share: number; readonly patch?: SimulatedPatch }[];
  readonly labels?: (at: number) => readonly string[];
}

/** Makes hosts with keys of their own. */
export function* population({ hosts, kernels }: PopulationOptions): Generator<SimulatedHost> {
  const all = kernels.reduce((sum, { share }) => sum + share, 0);
  for (let at = 0; at < hosts; at++) {
    const kernel = kernelAt(kernels, (((at * 7919) % 10_007) * all) / 10_007);
    const host = new SimulatedHost(`host-${String(at).padStart(6, '0')}.example.org`, kernel.release);
    host.patch = kernel.patch;
    yield host;
  }
}

function kernelAt<K extends { readonly share: number }>(kernels: readonly K[], place: number): K {
  let end = 0;
  for (const kernel of kernels) {
    end += kernel.share;
    if (place < end) return kernel;
  }
  return kernels.at(-1)!;
}

/** Enters hosts as if each had joined. */
export async function enter(
  database: Database,
  hosts: readonly SimulatedHost[],
  labels: PopulationOptions['labels'] = () => [],
): Promise<void> {
  for (let from = 0; from < hosts.length; from += 5000) {
    const part = hosts.slice(from, from + 5000);
    const values = [
      part.map(({ key }) => key.id),
      part.map(({ name }) => name),
      part.map(({ machine }) => machine),
      part.map(({ key }) => key.public.toString('base64')),
      part.map((_, at) => labels(from + at).join(' ')),
    ];
    await database.transaction(async (queries) => {
      await queries.query(
        `insert into fleet.host (id, name, machine, key, labels, enrolled)
         select id, name, machine, decode(key, 'base64'), coalesce(string_to_array(nullif(labels, ''), ' '), '{}'), now()
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) as n(id, name, machine, key, labels)`,
        values,
      );
      await queries.query(
        'insert into fleet.checkin (host, seen, machine) select id, now(), machine from unnest($1::text[], $2::text[]) as n(id, machine)',
        [values[0], values[2]],
      );
    });
  }
}
