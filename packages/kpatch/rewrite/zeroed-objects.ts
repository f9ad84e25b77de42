/**
 * Whether every object of a structure starts as zeros, so that padding in it is zero too. Shown by the source: each allocation that
 * is seen clears the memory, one is seen, and no object lies on a stack or is copied member by member.
 */
import { type CFunction, callsIn, functionsIn } from '../source/c-functions.ts';
import type { SourceText } from './surroundings.ts';

const zeroing =
  /^(?:\w*zalloc\w*|\w*kcalloc\w*|devm_kcalloc|kvcalloc|vcalloc|alloc_etherdev\w*|devm_alloc_etherdev\w*|alloc_netdev\w*|alloc_candev\w*|(?:devm_)?iio_device_alloc|ieee80211_alloc_hw\w*|wiphy_new\w*|scsi_host_alloc|snd_(?:devm_)?card_new|dma_alloc_coherent|dmam_alloc_coherent|(?:devm_|__devm_)?drm_dev_alloc|(?:devm_)?spi_alloc_\w+|(?:devm_)?__spi_alloc_controller|(?:devm_)?watchdog\w*alloc|crypto_alloc_instance)$/;
const plain =
  /^(?:\w*kmalloc\w*|k?vmalloc\w*|kmem_cache_alloc\w*|mempool_alloc\w*|krealloc\w*|devm_krealloc\w*|\w*memdup\w*|__get_free_pages?)$/;

/** Why an object may have other things than zeros in its padding; undefined if none may. */
export function dirtyPadding(struct: string, users: readonly SourceText[]): string | undefined {
  const shown = { zeroed: false };
  const open = [struct];
  const seen = new Set(open);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const problem = look(name, users, shown);
    if (problem !== undefined) return problem;
    for (const outer of containers(name, users)) {
      if (seen.has(outer)) continue;
      seen.add(outer);
      open.push(outer);
    }
  }
  return shown.zeroed ? undefined : `no allocation is seen that clears the memory of struct ${struct}`;
}

function look(struct: string, users: readonly SourceText[], shown: { zeroed: boolean }): string | undefined {
  for (const { file, text } of users) {
    if (!new RegExp(`\\b${struct}\\b`).test(text)) continue;
    // Static objects and those of each processor start as zeros, and so do those of a socket and of a request of a block device.
    if (new RegExp(`^static\\s+struct\\s+${struct}\\s+\\w+`, 'm').test(text)) shown.zeroed = true;
    if (
      new RegExp(
        `\\bDEFINE_PER_CPU\\w*\\s*\\(\\s*struct\\s+${struct}\\b|\\balloc_percpu\\w*\\s*\\(\\s*struct\\s+${struct}\\b`,
      ).test(text)
    )
      shown.zeroed = true;
    if (new RegExp(`\\.(?:obj_size|cmd_size|priv_size)\\s*=\\s*sizeof\\s*\\(\\s*struct\\s+${struct}\\s*\\)`).test(text))
      shown.zeroed = true;
    for (const one of functionsIn(text)) {
      const problem = lookIn(one, struct, shown);
      if (problem !== undefined) return `${problem} in ${one.name} (${file})`;
    }
  }
  return undefined;
}

function lookIn(one: CFunction, struct: string, shown: { zeroed: boolean }): string | undefined {
  if (!one.body.includes(struct) && !one.head.includes(struct)) return undefined;
  if (new RegExp(`(?<!\\bstatic\\s)\\bstruct\\s+${struct}\\s+\\w+\\s*[;=,\\[]`).test(one.body))
    return `an object of struct ${struct} is on the stack`;
  if (new RegExp(`\\(\\s*struct\\s+${struct}\\s*\\)\\s*\\{`).test(one.body))
    return `an object of struct ${struct} is on the stack`;
  const variables = pointersTo(one, struct);
  for (const name of variables)
    if (
      new RegExp(`(?:^|[;{}])\\s*\\*\\s*${name}\\s*=(?!=)`).test(one.body) ||
      new RegExp(`=\\s*\\*\\s*${name}\\s*;`).test(one.body)
    )
      return `an object of struct ${struct} is copied member by member`;
  for (const { name, arguments: given, at } of callsIn(one.body)) {
    const target = /(\w+)\s*=\s*(?:\([^()]*\)\s*)?$/.exec(one.body.slice(0, at))?.[1];
    const isOurs =
      (target !== undefined && variables.includes(target)) ||
      given.some((text) => new RegExp(`sizeof ?\\( ?struct ${struct} ?\\)`).test(text)) ||
      given.some((text) => variables.some((variable) => new RegExp(`sizeof ?\\( ?\\* ?${variable} ?\\)`).test(text)));
    if (!isOurs) continue;
    const clears =
      zeroing.test(name) ||
      given.some((text) => /__GFP_ZERO/.test(text)) ||
      (target !== undefined && new RegExp(`\\bmemset\\s*\\(\\s*${target}\\s*,\\s*0\\s*,`).test(one.body));
    if (clears && (zeroing.test(name) || plain.test(name))) shown.zeroed = true;
    else if (plain.test(name)) return `${name} does not clear the memory of struct ${struct}`;
  }
  return undefined;
}

/** Variables and parameters of a function that point to the structure. */
export function pointersTo(one: CFunction, struct: string): string[] {
  const declared = new RegExp(`\\bstruct\\s+${struct}\\s*\\*\\s*(?:const\\s+)?(\\w+)`, 'g');
  const more = new RegExp(`\\bstruct\\s+${struct}\\s*\\*[^;(){}]*`, 'g');
  const listed = [...one.body.matchAll(more)].flatMap(([text]) =>
    [...text.matchAll(/\*\s*(\w+)/g)].map(([, name]) => name!),
  );
  return [...new Set([...`${one.head} ${one.body}`.matchAll(declared)].map(([, name]) => name!).concat(listed))];
}

/** Structures that contain an object of this one. */
export function containers(struct: string, users: readonly SourceText[]): string[] {
  const inside = new RegExp(`\\bstruct\\s+${struct}\\s+\\w+\\s*(?:\\[[^\\]]*\\]\\s*)?[;,]`);
  return users.flatMap(({ text }) =>
    [...text.matchAll(/^struct\s+(\w+)\s*\{([\s\S]*?)^\}/gm)].flatMap(([, name, body]) =>
      inside.test(body!) ? [name!] : [],
    ),
  );
}
