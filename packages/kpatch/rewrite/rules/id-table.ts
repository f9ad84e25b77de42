/**
 * A table of device ids grows or changes: the old table stays, and a callback points the registered driver to a new one. The core of
 * each bus reads the pointer once for each device that it matches. Devices keep pointers into the table, so the new one is a shadow
 * variable of the driver: it stays when the patch goes, and is found again when the patch comes back.
 */
import { sha256 } from '../../base/digest.ts';
import { blanked, functionsIn } from '../../source/c-functions.ts';
import type { Draft, Rule } from '../draft.ts';

/** Drivers whose bus reads `id_table` once for each match (`usb_match_id`, `pci_match_id`, `hid_match_id`, `i2c_match_id`, `sdio_match_device`). */
const drivers = 'usb_driver|pci_driver|hid_driver|i2c_driver|sdio_driver';

interface Table {
  readonly name: string;
  /** Like `usb_device_id`. */
  readonly type: string;
  /** From the declaration to the semicolon. */
  readonly start: number;
  readonly end: number;
  /** Between the outer braces. */
  readonly entries: string;
  /** The same without comments and white space. */
  readonly plain: string;
}

interface Plan {
  readonly then: Table;
  readonly users: readonly string[];
  readonly id: number;
}

export const idTable: Rule = {
  name: 'id-table',
  apply(draft: Draft): void {
    const plans: Plan[] = [];
    for (const then of tablesIn(draft.before)) {
      const now = tablesIn(draft.text).find(({ name }) => name === then.name);
      if (now === undefined || now.plain === then.plain) continue;
      const users = driversOf(draft.before, then.name);
      // Other tables are read by functions, with which they travel.
      if (users.length === 0) continue;
      const problem = obstacle(draft, then, now);
      if (problem !== undefined) {
        draft.refused('id-table', then.name, problem);
        continue;
      }
      plans.push({ then, users, id: addTable(draft, then, now) });
    }
    if (plans.length > 0) addCallbacks(draft, plans);
  },
};

function obstacle(draft: Draft, then: Table, now: Table): string | undefined {
  const { name } = then;
  if (driversOf(draft.before, name).join() !== driversOf(draft.text, name).join())
    return 'other drivers use it after the patch';
  const inside = functionsIn(draft.text).find(({ body }) => new RegExp(`\\b${name}\\b`).test(body));
  if (inside !== undefined) return `${inside.name} uses it too, and may count on its place`;
  const rest = blanked(draft.before)
    .replace(new RegExp(`\\bMODULE_DEVICE_TABLE\\s*\\(\\s*\\w+\\s*,\\s*${name}\\s*\\)`, 'g'), '')
    .match(new RegExp(`\\b${name}\\b`, 'g'));
  if ((rest?.length ?? 0) !== 1 + driversOf(draft.before, name).length) return 'something else refers to it';
  // What the patch adds goes with it, but bound devices keep what they were given.
  const known = blanked(draft.before);
  const fresh = [...now.plain.matchAll(/&(\w+)/g)].find(([, object]) => !new RegExp(`\\b${object}\\b`).test(known));
  if (fresh !== undefined) return `a device would keep a pointer to ${fresh[1]}, which goes when the patch is unloaded`;
  return undefined;
}

/** Restores the old table, and puts the new one behind it; the identifier of its copy. */
function addTable(draft: Draft, then: Table, now: Table): number {
  const { name, type } = then;
  const old = draft.before.slice(then.start, then.end);
  const copy = `static const struct ${type} *kpatch_copy_${name};`;
  const more = `\n\n/* Added by kpatch rewrite: ${name} as it should be. */\nstatic const struct ${type} kpatch_new_${name}[] = {${now.entries}};\n${copy}`;
  draft.replace(now.start, now.end, `${old}${more}`);
  return Number.parseInt(sha256(`${draft.file} ${name} ${now.plain}`).slice(0, 7), 16) + 1;
}

function addCallbacks(draft: Draft, plans: readonly Plan[]): void {
  // Nothing is changed before all memory is there.
  for (const { then, users, id } of plans) {
    const [first] = users;
    draft.callback(
      'pre_patch',
      `kpatch_copy_${then.name} = klp_shadow_get_or_alloc(&${first}, ${id}, sizeof(kpatch_new_${then.name}), GFP_KERNEL, NULL, NULL);\n\tif (!kpatch_copy_${then.name})\n\t\treturn -ENOMEM;`,
    );
  }
  for (const { then, users, id } of plans) {
    const { name } = then;
    draft.callback('pre_patch', `memcpy((void *)kpatch_copy_${name}, kpatch_new_${name}, sizeof(kpatch_new_${name}));`);
    for (const user of users) {
      draft.callback('pre_patch', `smp_store_release(&${user}.id_table, kpatch_copy_${name});`);
      draft.callback('post_unpatch', `WRITE_ONCE(${user}.id_table, ${name});`);
    }
    // Its devices are gone before the module goes.
    draft.callback(
      'post_unpatch',
      `if (object->mod && object->mod->state == MODULE_STATE_GOING)\n\t\tklp_shadow_free(&${users[0]}, ${id}, NULL);`,
    );
    draft.applied(
      'id-table',
      name,
      `a callback points ${users.join(', ')} to a new table, which stays in memory as shadow variable ${id} when the patch is unloaded`,
      'present devices are bound again by hand (drivers_probe), and programs that load modules for devices still read the old table',
    );
  }
}

function tablesIn(text: string): Table[] {
  const quiet = blanked(text);
  const found: Table[] = [];
  const declared = /^static\s+(?:const\s+)?struct\s+(\w+_id)\s+(?:const\s+)?(\w+)\s*\[\s*\]\s*=\s*\{/gm;
  for (const match of quiet.matchAll(declared)) {
    const from = match.index + match[0].length;
    let depth = 1;
    let at = from;
    while (at < quiet.length && depth > 0) {
      if (quiet[at] === '{') depth++;
      if (quiet[at] === '}') depth--;
      at++;
    }
    const end = quiet.indexOf(';', at) + 1;
    const entries = text.slice(from, at - 1);
    // Strings are blank in the quiet text, and no part of an id.
    const plain = quiet.slice(from, at - 1).replace(/\s+/g, '');
    found.push({ name: match[2]!, type: match[1]!, start: match.index, end, entries, plain });
  }
  return found;
}

/** Writable drivers that point to the table. */
function driversOf(text: string, table: string): string[] {
  const quiet = blanked(text);
  const declared = new RegExp(`^static\\s+struct\\s+(?:${drivers})\\s+(\\w+)\\s*=\\s*\\{([\\s\\S]*?)^\\};`, 'gm');
  return [...quiet.matchAll(declared)].flatMap(([, name, body]) =>
    new RegExp(`\\.id_table\\s*=\\s*${table}\\s*[,}\\n]`).test(body!) ? [name!] : [],
  );
}
