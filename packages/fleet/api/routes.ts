/**
 * All routes of the API: the OpenAPI description, the checks of the server and the types of the client follow from this table.
 */
import * as v from 'valibot';
import { type Role, roles } from '../access/accounts.ts';

export interface Route {
  readonly summary: string;
  /** The least role that may call it. */
  readonly role: Role;
  readonly params?: v.GenericSchema;
  readonly query?: v.GenericSchema;
  readonly body?: v.GenericSchema;
  readonly answer: v.GenericSchema;
}

const short = v.pipe(v.string(), v.maxLength(255));
const time = v.pipe(v.string(), v.description('ISO 8601.'));
const count = v.pipe(v.string(), v.regex(/^\d{1,6}$/, 'expected a whole number'), v.transform(Number));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const id = v.pipe(v.string(), v.regex(/^\d{1,15}$/, 'expected a number'), v.transform(Number));
const hostId = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/, 'expected the id of a host'));
const cveId = v.pipe(v.string(), v.regex(/^CVE-\d{4}-\d{4,9}$/, 'expected the id of a CVE'));

const host = v.object({
  id: hostId,
  name: v.string(),
  labels: v.array(v.string()),
  standing: v.picklist(['normal', 'restored', 'cloned']),
  seen: time,
  kernel: v.string(),
  package: v.string(),
  patch: v.pipe(v.string(), v.description('Digests of the enabled live patches; empty if there is none.')),
  condition: v.string(),
  reports: natural,
});

const group = v.object({
  kernel: v.string(),
  package: v.string(),
  patch: v.string(),
  condition: v.string(),
  hosts: natural,
  silent: natural,
});

const exposure = v.object({
  cve: v.string(),
  title: v.string(),
  severity: v.string(),
  exploited: v.boolean(),
  exposed: natural,
  fixed: natural,
  unknown: v.pipe(natural, v.description('Hosts of which the server cannot tell.')),
  since: time,
});

const rolloutId = v.pipe(v.string(), v.regex(/^\d{1,9}$/, 'expected the number of a rollout'));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 in hexadecimal'));
const rollout = v.looseObject({
  id: v.string(),
  title: v.string(),
  kernel: v.string(),
  release: v.string(),
  state: v.string(),
  reason: v.string(),
});
const stepBody = v.object({
  reason: v.optional(v.pipe(v.string(), v.maxLength(500)), ''),
  rings: v.optional(
    v.pipe(v.array(short), v.maxLength(50), v.description('For a rollback: only these rings; without them all.')),
    [],
  ),
});

const none = v.object({});

export const routes = {
  'GET /api/groups': {
    summary: 'How many hosts run what.',
    role: 'viewer',
    answer: v.object({ groups: v.array(group) }),
  },
  'GET /api/hosts': {
    summary: 'Hosts by id; `after` continues a list that was cut.',
    role: 'viewer',
    query: v.object({
      search: v.optional(short),
      kernel: v.optional(short),
      patch: v.optional(v.pipe(short, v.description('A digest, or `none`.'))),
      condition: v.optional(short),
      label: v.optional(short),
      standing: v.optional(short),
      after: v.optional(hostId),
      limit: v.optional(count),
    }),
    answer: v.object({ hosts: v.array(host), next: v.nullable(hostId) }),
  },
  'GET /api/hosts/:host': {
    summary: 'One host: its last report, what went wrong, and its history.',
    role: 'viewer',
    params: v.object({ host: hostId }),
    answer: v.looseObject({ ...host.entries }),
  },
  'PUT /api/hosts/:host/labels': {
    summary: 'Sets the labels of a host.',
    role: 'operator',
    params: v.object({ host: hostId }),
    body: v.object({ labels: v.pipe(v.array(short), v.maxLength(64)) }),
    answer: v.object({ labels: v.array(v.string()) }),
  },
  'DELETE /api/hosts/:host': {
    summary: 'Removes a host; its key is not believed any more.',
    role: 'operator',
    params: v.object({ host: hostId }),
    answer: none,
  },
  'GET /api/cves': {
    summary: 'How many hosts are exposed to each CVE.',
    role: 'viewer',
    answer: v.object({ cves: v.array(exposure) }),
  },
  'GET /api/cves/:cve': {
    summary: 'How many hosts are exposed to one CVE.',
    role: 'viewer',
    params: v.object({ cve: cveId }),
    answer: exposure,
  },
  'GET /api/tokens': {
    summary: 'The tokens with which hosts join, without their secrets.',
    role: 'operator',
    answer: v.object({
      tokens: v.array(
        v.object({
          id: natural,
          note: v.string(),
          labels: v.array(v.string()),
          uses: natural,
          used: natural,
          expires: time,
          revoked: v.nullable(time),
        }),
      ),
    }),
  },
  'POST /api/tokens': {
    summary: 'Makes a token; the secret is in this answer only.',
    role: 'operator',
    body: v.object({
      note: v.optional(short, ''),
      labels: v.optional(v.pipe(v.array(short), v.maxLength(64)), []),
      uses: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(1_000_000)), 1),
      hours: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(8760)), 24),
    }),
    answer: v.object({ id: natural, token: v.string() }),
  },
  'DELETE /api/tokens/:id': {
    summary: 'Makes a token useless; hosts that joined with it stay.',
    role: 'operator',
    params: v.object({ id }),
    answer: none,
  },
  'GET /api/accounts': {
    summary: 'The accounts.',
    role: 'admin',
    answer: v.object({
      accounts: v.array(v.object({ name: v.string(), role: v.picklist(roles), disabled: v.nullable(time) })),
    }),
  },
  'PUT /api/accounts/:name': {
    summary: 'Makes an account, or sets its role and password.',
    role: 'admin',
    params: v.object({ name: short }),
    body: v.object({ role: v.picklist(roles), password: v.pipe(v.string(), v.maxLength(1000)) }),
    answer: none,
  },
  'DELETE /api/accounts/:name': {
    summary: 'Disables an account; its sessions and API tokens end.',
    role: 'admin',
    params: v.object({ name: short }),
    answer: none,
  },
  'POST /api/api-tokens': {
    summary: 'Makes an API token with at most the role of the caller; the secret is in this answer only.',
    role: 'viewer',
    body: v.object({
      name: short,
      role: v.picklist(roles),
      days: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(3650)), 90),
    }),
    answer: v.object({ id: natural, token: v.string() }),
  },
  'DELETE /api/api-tokens/:id': {
    summary: 'Revokes an API token.',
    role: 'admin',
    params: v.object({ id }),
    answer: none,
  },
  'GET /api/rollouts': {
    summary: 'The rollouts, newest first, with what the server concluded last.',
    role: 'viewer',
    answer: v.object({ rollouts: v.array(rollout) }),
  },
  'GET /api/rollouts/:id': {
    summary: 'One rollout: its rings, and why it proceeds or waits.',
    role: 'viewer',
    params: v.object({ id: rolloutId }),
    answer: rollout,
  },
  'POST /api/rollouts': {
    summary: 'Plans a rollout; nothing moves before it is started. Without `plan`, rings grow tenfold.',
    role: 'operator',
    body: v.object({
      kernel: short,
      release: digest,
      previous: v.optional(v.union([digest, v.literal('')]), ''),
      title: v.optional(short, ''),
      plan: v.optional(v.pipe(v.record(v.string(), v.unknown()), v.description('As in docs/rollouts.md.'))),
    }),
    answer: v.object({ id: v.string() }),
  },
  'POST /api/rollouts/:id/:step': {
    summary: 'Starts, pauses, resumes, halts or rolls back a rollout.',
    role: 'operator',
    params: v.object({ id: rolloutId, step: v.picklist(['start', 'pause', 'resume', 'halt', 'roll-back']) }),
    body: stepBody,
    answer: rollout,
  },
  'POST /api/freeze': {
    summary:
      'Stops all rollouts, or those of the hosts with a label, for some hours or until they are unfrozen; halts and rollbacks go on.',
    role: 'operator',
    body: v.object({
      group: v.optional(v.pipe(short, v.description('A label; without it the whole fleet.'))),
      reason: v.pipe(v.string(), v.maxLength(500)),
      hours: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(8760))),
    }),
    answer: none,
  },
  'DELETE /api/freeze': {
    summary: 'Lifts every freeze, or those of one group.',
    role: 'operator',
    query: v.object({ group: v.optional(short) }),
    answer: none,
  },
  'POST /api/releases': {
    summary: 'Makes a livepatch module known by its digest, with the CVEs that it fixes.',
    role: 'operator',
    body: v.object({
      digest,
      name: short,
      kernel: short,
      version: natural,
      cves: v.pipe(v.array(cveId), v.maxLength(20_000)),
      functions: natural,
      channel: v.optional(short, ''),
    }),
    answer: none,
  },
  'GET /api/audit': {
    summary: 'Who changed what, newest first.',
    role: 'admin',
    query: v.object({ before: v.optional(id), limit: v.optional(count) }),
    answer: v.object({
      entries: v.array(
        v.object({
          id: natural,
          at: time,
          who: v.string(),
          action: v.string(),
          subject: v.string(),
          detail: v.record(v.string(), v.unknown()),
          address: v.string(),
        }),
      ),
    }),
  },
} as const satisfies Readonly<Record<string, Route>>;

export type Routes = typeof routes;
export type RouteName = keyof Routes;

type Part<R, K extends string> = R extends Readonly<Record<K, infer S extends v.GenericSchema>> ? S : undefined;
type Given<R, K extends string> = Part<R, K> extends v.GenericSchema ? v.InferInput<Part<R, K>> : undefined;
type Read<R, K extends string> = Part<R, K> extends v.GenericSchema ? v.InferOutput<Part<R, K>> : undefined;

/** What a caller of a route gives. */
export interface Request<N extends RouteName> {
  readonly params: Given<Routes[N], 'params'>;
  readonly query: Given<Routes[N], 'query'>;
  readonly body: Given<Routes[N], 'body'>;
}

/** The same as the server reads it. */
export interface Received<N extends RouteName> {
  readonly params: Read<Routes[N], 'params'>;
  readonly query: Read<Routes[N], 'query'>;
  readonly body: Read<Routes[N], 'body'>;
}

export type Answer<N extends RouteName> = v.InferOutput<Routes[N]['answer']>;
