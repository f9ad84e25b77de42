/** Feeds: where records come from, read incrementally. A feed is a folder, a git repository, a zip archive or a URL. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure, namesBelow, run, sha256, temporaryFolder } from 'kpatch/parts';
import type { StoredDocument } from '../store/documents.ts';
import { Zip } from './zip.ts';

/** What was read before; nothing in it is trusted for more than skipping what did not change. */
export type FeedState = StoredDocument<'feeds'>[string];

/** A file of a feed that is new or changed; without bytes if it is gone. */
export interface FeedFile {
  readonly name: string;
  readonly bytes?: Buffer;
}

export interface FeedReading {
  readonly state: FeedState;
  readonly changes: readonly FeedFile[];
  /** What a person should know, such as a history that was rewritten. */
  readonly notes: readonly string[];
}

/** Records and changelogs; everything else of a repository is skipped. */
const wanted = /\.json$|(?:^|\/)changelog[\w.-]*$/i;

/**
 * What is new in a feed since `before`. `work` is a folder for clones. Error: `factory-feed`; then `before` stays valid.
 */
export async function readFeed(location: string, before: FeedState | undefined, work: string): Promise<FeedReading> {
  const known = before?.location === location ? before : undefined;
  try {
    if (isGit(location)) return await readGit(location, known, work);
    if (/^https?:\/\//.test(location)) return await readUrl(location, known);
    if (location.endsWith('.zip')) return readZip(location, location, known);
    return readFolder(location, known);
  } catch (error) {
    throw failure('factory-feed', { feed: location, problem: (error as Error).message }, { cause: error });
  }
}

function isGit(location: string): boolean {
  return /^(?:git|ssh):\/\/|\.git\/?$/.test(location) || existsSync(join(location, '.git'));
}

/** Marks that differ, and files that are gone. */
function compare(
  location: string,
  position: string,
  marks: ReadonlyMap<string, string>,
  before: FeedState | undefined,
  read: (name: string) => Buffer,
): FeedReading {
  const changed = [...marks].filter(([name, mark]) => before?.files[name] !== mark).map(([name]) => name);
  const gone = Object.keys(before?.files ?? {}).filter((name) => !marks.has(name));
  const changes = [...changed.map((name) => ({ name, bytes: read(name) })), ...gone.map((name) => ({ name }))];
  return { state: { location, position, files: Object.fromEntries(marks) }, changes, notes: [] };
}

function readFolder(location: string, before: FeedState | undefined): FeedReading {
  const single = statSync(location).isFile();
  const names = single ? [''] : namesBelow(location).filter((name) => wanted.test(name));
  const path = (name: string): string => (single ? location : join(location, name));
  const marks = new Map<string, string>();
  for (const name of names.sort()) {
    const found = statSync(path(name), { throwIfNoEntry: false });
    if (found?.isFile() === true) marks.set(name, `${found.size}-${found.mtimeMs}`);
  }
  return compare(location, '', marks, before, (name) => readFileSync(path(name)));
}

function readZip(location: string, file: string, before: FeedState | undefined, position = ''): FeedReading {
  using zip = new Zip(file);
  const members = new Map(zip.members.filter(({ name }) => wanted.test(name)).map((member) => [member.name, member]));
  const marks = new Map([...members].map(([name, { crc, size }]) => [name, `${size}-${crc}`]));
  return compare(location, position, marks, before, (name) => zip.read(members.get(name)!));
}

async function readUrl(location: string, before: FeedState | undefined): Promise<FeedReading> {
  const headers = before === undefined || before.position === '' ? {} : { 'if-none-match': before.position };
  const answer = await fetch(location, { headers, signal: AbortSignal.timeout(600_000) });
  if (answer.status === 304 && before !== undefined) return { state: before, changes: [], notes: [] };
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  const bytes = Buffer.from(await answer.arrayBuffer());
  const position = answer.headers.get('etag') ?? '';
  if (bytes.subarray(0, 4).toString('latin1') === 'PK\u0003\u0004') {
    using folder = temporaryFolder('kpatch-feed-');
    const file = join(folder.path, 'feed.zip');
    writeFileSync(file, bytes);
    return readZip(location, file, before, position);
  }
  const name = new URL(location).pathname.split('/').at(-1) ?? '';
  return compare(location, position, new Map([[name, sha256(bytes)]]), before, () => bytes);
}

/** Files that differ between two commits; all of them where the old commit is gone. */
async function readGit(location: string, before: FeedState | undefined, work: string): Promise<FeedReading> {
  const notes: string[] = [];
  const folder = await clone(location, work);
  const git = (...args: string[]): Promise<Buffer> => gitIn(folder, args);
  const head = (await git('rev-parse', existsSync(location) ? 'HEAD' : 'FETCH_HEAD')).toString().trim();
  if (before?.position === head) return { state: before, changes: [], notes };
  let old = before?.position ?? '';
  if (old !== '' && (await run('git', ['-C', folder, 'cat-file', '-e', `${old}^{commit}`])).status !== 0) {
    notes.push(`${location}: the commit that was read last is gone, everything is read again`);
    old = '';
  }
  const listed = (await git('ls-tree', '-r', '-z', head)).toString().split('\0');
  const marks = new Map<string, string>();
  for (const line of listed) {
    const [, blob, name] = /^\d+ blob ([0-9a-f]+)\t(.*)$/s.exec(line) ?? [];
    if (blob !== undefined && name !== undefined && wanted.test(name)) marks.set(name, blob);
  }
  const needed = [...marks].filter(([name, blob]) => before?.files[name] !== blob).map(([, blob]) => blob);
  const blobs = await readBlobs(folder, needed);
  const reading = compare(location, head, marks, before, (name) => blobs.get(marks.get(name)!)!);
  return { ...reading, notes };
}

/** A repository on this machine is read where it is; another one is cloned, later fetched. */
async function clone(location: string, work: string): Promise<string> {
  if (existsSync(location)) return location;
  const folder = join(work, `${sha256(location).slice(0, 16)}.git`);
  if (!existsSync(join(folder, 'HEAD'))) {
    mkdirSync(folder, { recursive: true });
    await gitIn(folder, ['init', '-q', '--bare']);
  }
  await gitIn(folder, ['fetch', '-q', '--', location, 'HEAD']);
  return folder;
}

async function readBlobs(folder: string, ids: readonly string[]): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  if (ids.length === 0) return found;
  const { stdout } = await run('git', ['-C', folder, 'cat-file', '--batch'], { input: `${ids.join('\n')}\n` });
  for (let at = 0; at < stdout.length; ) {
    const end = stdout.indexOf(10, at);
    const [id = '', , size = '0'] = stdout.subarray(at, end).toString().split(' ');
    found.set(id, stdout.subarray(end + 1, end + 1 + Number(size)));
    at = end + 2 + Number(size);
  }
  return found;
}

async function gitIn(folder: string, args: readonly string[]): Promise<Buffer> {
  const { status, stdout, stderr } = await run('git', ['-C', folder, ...args]);
  if (status !== 0) throw new Error(stderr.trim().split('\n').at(-1) || `git ${args[0]} failed`);
  return stdout;
}
