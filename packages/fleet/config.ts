/** The settings of a fleet server: `fleet.json` in its folder (docs/fleet.md). */
import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { described } from 'kpatch/documents';
import { failure, requireOwnFolder } from 'kpatch/parts';
import * as v from 'valibot';

const whole = (least: number, most: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most));

const schema = v.strictObject({
  schema: v.literal('kpatch.fleet/1'),
  /** Where the server listens. */
  listen: v.optional(
    v.strictObject({ host: v.optional(v.string(), '127.0.0.1'), port: v.optional(whole(0, 65_535), 8443) }),
    {},
  ),
  tls: described(
    v.optional(v.strictObject({ certificate: v.string(), key: v.string() })),
    'Certificate and key (PEM). Without them a proxy must provide TLS.',
  ),
  proxies: described(v.optional(v.array(v.string()), []), 'Addresses of proxies whose `X-Forwarded-For` counts.'),
  database: described(v.optional(v.string()), 'PostgreSQL; without it the embedded database.'),
  intervalSeconds: described(v.optional(whole(30, 86_400), 300), 'Seconds between two reports of a host.'),
  retention: v.optional(
    v.strictObject({
      reportDays: v.optional(whole(1, 3650), 30),
      incidentDays: v.optional(whole(1, 3650), 365),
      auditDays: v.optional(whole(30, 36_500), 1095),
      goneDays: v.optional(whole(1, 3650), 90),
    }),
    {},
  ),
  limits: v.optional(
    v.strictObject({
      reportsPerMinute: described(v.optional(whole(1, 10_000), 12), 'Reports that one host may send in a minute.'),
      bytesPerDay: described(
        v.optional(whole(1 << 20, 2 ** 40), 16 << 20),
        'Bytes of reports that one host may send in a day.',
      ),
      strangersPerMinute: described(
        v.optional(whole(1, 1_000_000), 120),
        'Requests that one address may send in a minute without proving who it is.',
      ),
    }),
    {},
  ),
});

/** For docs/json.md. */
export const settingsDocument = {
  name: 'kpatch.fleet/1',
  title: 'The settings of a fleet server.',
  origin: { kind: 'given', to: '`kpatch-fleet` as `fleet.json`' },
  schema,
} as const;

export interface FleetConfig extends v.InferOutput<typeof schema> {
  readonly home: string;
}

/** Settings of a folder that has none. */
export function defaultConfig(home: string, settings: object = {}): FleetConfig {
  return { ...v.parse(schema, { schema: 'kpatch.fleet/1', ...settings }), home };
}

/** Reads `fleet.json`, or returns the defaults if there is none; paths in it are relative to its folder. Errors: `fleet-config`, `folder-owner`. */
export function readConfig(home: string): FleetConfig {
  requireOwnFolder(home);
  const file = join(home, 'fleet.json');
  if (!existsSync(file)) return defaultConfig(home);
  const bad = (problem: string): Error => failure('fleet-config', { folder: home, problem }, { where: { file } });
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw bad((error as Error).message);
  }
  const read = v.safeParse(schema, document);
  if (!read.success) throw bad(`${v.getDotPath(read.issues[0]) ?? 'the document'}: ${read.issues[0].message}`);
  const at = (path: string): string => (isAbsolute(path) ? path : join(home, path));
  const { tls } = read.output;
  return {
    ...read.output,
    home,
    ...(tls === undefined ? {} : { tls: { certificate: at(tls.certificate), key: at(tls.key) } }),
  };
}
