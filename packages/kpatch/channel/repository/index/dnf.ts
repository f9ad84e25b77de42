/** The dnf repository of a publication, made by createrepo_c and signed by gpg: `rpm/*.rpm`, `rpm/repodata/…`. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runOk } from '../../../base/run.ts';
import type { ChannelConfig } from '../config.ts';
import { sign } from '../gpg.ts';
import type { Publication } from '../publication.ts';
import { updateinfo } from './updateinfo.ts';

/**
 * Makes the metadata below `tree`, whose `rpm/` holds the packages; what is unchanged is taken from `previous`, the tree of the
 * publication before. Gives the metadata files, whose names carry their digests, relative to the tree.
 * Errors: `tool-missing`, `tool-failed`, `channel-key`.
 */
export async function writeDnf(
  tree: string,
  config: ChannelConfig,
  publication: Publication,
  previous: string | undefined,
): Promise<string[]> {
  const rpm = join(tree, 'rpm');
  const repodata = join(rpm, 'repodata');
  const seconds = (date: Date): string => String(Math.floor(date.getTime() / 1000));
  const old =
    previous !== undefined && existsSync(join(previous, 'rpm/repodata/repomd.xml')) ? join(previous, 'rpm') : undefined;
  const update = old === undefined ? [] : ['--update', '--update-md-path', old];
  const revision = ['--revision', seconds(publication.date), '--set-timestamp-to-revision'];
  // dnf knows no end of validity of its own; the tag is what `kpatch channel status` reads to see a mirror that stands still.
  const content = ['--content', `valid-until=${seconds(publication.validUntil)}`];
  await runOk('createrepo_c', ['--quiet', '--no-database', '--workers', '2', ...update, ...revision, ...content, rpm]);
  const information = join(tree, 'updateinfo.xml');
  writeFileSync(information, updateinfo(config, publication));
  await runOk('modifyrepo_c', ['--mdtype=updateinfo', information, repodata]);
  rmSync(information);
  const index = join(repodata, 'repomd.xml');
  // createrepo_c and modifyrepo_c date each file by the clock; one publication has one date.
  const dated = readFileSync(index, 'utf8').replace(/<timestamp>\d+</g, `<timestamp>${seconds(publication.date)}<`);
  writeFileSync(index, dated);
  writeFileSync(`${index}.asc`, await sign(readFileSync(index), config.keys, 'detached'));
  return readdirSync(repodata)
    .filter((name) => !name.startsWith('repomd.xml'))
    .map((name) => join('rpm/repodata', name));
}
