/** The tables, as migrations: an entry is never changed once it was released, later versions append. */

const first = `
create table fleet.host (
  id text primary key, name text not null, machine text not null, key bytea not null, labels text[] not null default '{}',
  token bigint, enrolled timestamptz not null, standing text not null default 'normal', standing_since timestamptz,
  "left" timestamptz);
create index host_name on fleet.host (name text_pattern_ops);
create index host_machine on fleet.host (machine);

-- One narrow row for each host, written by every report: no index on what changes, and space for updates in place.
create table fleet.checkin (
  host text primary key references fleet.host on delete cascade, seen timestamptz not null, counter bigint not null default 0,
  link text not null default '', at timestamptz, other text[] not null default '{}',
  machine text not null default '', boot text not null default '', kernel text not null default '', package text not null default '',
  patch text not null default '', condition text not null default 'ok', reports bigint not null default 0, skew int not null default 0, modules text not null default '',
  digest text not null default '', changed timestamptz not null default now()) with (fillfactor = 50);

-- What a host reported last, and the history: a row whenever the content of its reports changes.
create table fleet.document (host text primary key references fleet.host on delete cascade, content jsonb not null);
create table fleet.report (
  id bigint generated always as identity primary key, host text not null references fleet.host on delete cascade,
  at timestamptz not null, counter bigint not null, boot text not null, link text not null, kernel text not null, patch text not null,
  condition text not null, content jsonb not null);
create index report_host on fleet.report (host, id);
create index report_at on fleet.report using brin (at);
create table fleet.module_set (digest text primary key, names text[] not null, at timestamptz not null default now());

create table fleet.incident (
  id bigint generated always as identity primary key, host text not null references fleet.host on delete cascade, at timestamptz not null,
  kind text not null, kernel text not null, patch text not null, key text not null, text text not null, unique (host, kind, key));
create index incident_at on fleet.incident (at);
create index incident_patch on fleet.incident (patch, kind);
-- What the sequential tests of rollouts read: time under observation and incidents, by hour, kernel, active patch and group.
create table fleet.evidence (
  hour timestamptz not null, kernel text not null, patch text not null, label text not null default '', seconds double precision not null default 0,
  reports bigint not null default 0, crashes bigint not null default 0, oopses bigint not null default 0, failed bigint not null default 0,
  slow bigint not null default 0, missing bigint not null default 0, transitions bigint not null default 0,
  primary key (hour, kernel, patch, label));

create table fleet.release (
  digest text primary key, name text not null, kernel text not null, version bigint not null, cves text[] not null, functions int not null,
  channel text not null default '', added timestamptz not null default now(), withdrawn timestamptz, note text not null default '');
create index release_kernel on fleet.release (kernel, version);
create table fleet.cve (
  id text primary key, title text not null, severity text not null, exploited boolean not null default false, published timestamptz,
  changed timestamptz not null default now());
-- The answer of triage for one kernel package, without live patches.
create table fleet.kernel_cve (
  kernel text not null, cve text not null references fleet.cve on delete cascade, answer text not null, since timestamptz not null default now(),
  primary key (kernel, cve));
create index kernel_cve_cve on fleet.kernel_cve (cve);

create table fleet.rollout (
  id bigint generated always as identity primary key, title text not null, kernel text not null, release text not null,
  previous text not null default '', state text not null, reason text not null default '', settings jsonb not null default '{}',
  created timestamptz not null default now(), created_by text not null default '', changed timestamptz not null default now());
create index rollout_kernel on fleet.rollout (kernel, state);
create table fleet.ring (
  rollout bigint not null references fleet.rollout on delete cascade, position int not null, name text not null,
  labels text[] not null default '{}', share double precision, soak_seconds bigint not null, state text not null default 'waiting',
  started timestamptz, finished timestamptz, settings jsonb not null default '{}', primary key (rollout, position));
create table fleet.rollout_event (
  id bigint generated always as identity primary key, rollout bigint not null references fleet.rollout on delete cascade,
  at timestamptz not null default now(), kind text not null, text text not null, data jsonb not null default '{}');
create index rollout_event_rollout on fleet.rollout_event (rollout, id);

create table fleet.token (
  id bigint generated always as identity primary key, hash text not null unique, note text not null, labels text[] not null default '{}',
  uses int not null, used int not null default 0, created timestamptz not null default now(), created_by text not null,
  expires timestamptz not null, revoked timestamptz);
create table fleet.account (
  name text primary key, password text not null, role text not null, created timestamptz not null default now(), disabled timestamptz);
create table fleet.session (
  hash text primary key, account text not null references fleet.account on delete cascade, form text not null,
  created timestamptz not null default now(), expires timestamptz not null);
create table fleet.api_token (
  id bigint generated always as identity primary key, hash text not null unique, name text not null, role text not null, created_by text not null,
  created timestamptz not null default now(), expires timestamptz not null, used timestamptz, revoked timestamptz);
create table fleet.audit (
  id bigint generated always as identity primary key, at timestamptz not null default now(), who text not null, action text not null,
  subject text not null, detail jsonb not null default '{}', address text not null default '');
create index audit_at on fleet.audit (at);
create table fleet.setting (name text primary key, value jsonb not null, changed timestamptz not null default now());
`;

/** In their order; the version of a database is the number of those that it has. */
export const migrations: readonly string[] = [first];

/** Tables in an order in which they can be copied into an empty database. */
export const tableNames = [
  'host',
  'checkin',
  'document',
  'report',
  'module_set',
  'incident',
  'evidence',
  'release',
  'cve',
  'kernel_cve',
  'rollout',
  'ring',
  'rollout_event',
  'token',
  'account',
  'session',
  'api_token',
  'audit',
  'setting',
] as const;
