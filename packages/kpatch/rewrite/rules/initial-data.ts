/** A static variable with another initial value: a callback sets it if it still has the old one, and sets it back on unload. */
import { blanked } from '../../source/c-functions.ts';
import type { Draft, Rule } from '../draft.ts';

const declaration =
  /^((?:static[ \t]+)?(?:(?:unsigned|signed|long|short|int|char|bool|u8|u16|u32|u64|s8|s16|s32|s64|size_t|ssize_t|gfp_t)[ \t]+)+)(\w+)((?:[ \t]+__\w+)*)[ \t]*=[ \t]*([^;,{}\n"]+);/gm;

interface Variable {
  readonly name: string;
  readonly type: string;
  readonly attributes: string;
  readonly value: string;
  readonly start: number;
  readonly end: number;
}

export const initialData: Rule = {
  name: 'initial-data',
  apply(draft: Draft): void {
    const before = new Map(variables(draft.before).map((one) => [one.name, one]));
    const changed = variables(draft.text).filter((now) => {
      const then = before.get(now.name);
      return then !== undefined && then.value !== now.value && then.type === now.type;
    });
    for (const { name } of changed) {
      const then = before.get(name)!;
      // Rules that ran before have moved it.
      const now = variables(draft.text).find((one) => one.name === name)!;
      if (!isConstant(then.value) || !isConstant(now.value)) {
        draft.refused('initial-data', name, 'its value is not a plain constant');
        continue;
      }
      if (/__ro_after_init|__initdata|__init\b/.test(now.attributes)) {
        draft.refused('initial-data', name, `it is ${now.attributes.trim()}, so it is read-only or gone after boot`);
        continue;
      }
      draft.replace(now.start, now.end, draft.before.slice(then.start, then.end));
      draft.callback('pre_patch', `if (READ_ONCE(${name}) == (${then.value}))\n\t\tWRITE_ONCE(${name}, ${now.value});`);
      draft.callback(
        'post_unpatch',
        `if (READ_ONCE(${name}) == (${now.value}))\n\t\tWRITE_ONCE(${name}, ${then.value});`,
      );
      draft.applied(
        'initial-data',
        name,
        `a callback sets it from ${then.value} to ${now.value} if nothing else changed it`,
        'its readers cope with the new value at any time, also in the old code during the transition',
      );
    }
  },
};

function variables(text: string): Variable[] {
  return [...blanked(text).matchAll(declaration)].map((match) => ({
    type: match[1]!.replace(/\s+/g, ' ').trim(),
    name: match[2]!,
    attributes: match[3]!,
    value: match[4]!.trim(),
    start: match.index,
    end: match.index + match[0].length,
  }));
}

function isConstant(value: string): boolean {
  return /^[\w\s()*+\-|<>~]+$/.test(value) && !/\w+\s*\(/.test(value);
}
