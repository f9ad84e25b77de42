/**
 * A new member of a structure goes into bytes that the structure has anyway: padding between members or at the end. No other member
 * moves and no access changes. Objects from before the load have zeros there, if all objects start as zeros.
 */
import { functionsIn } from '../../source/c-functions.ts';
import type { Draft, Rule } from '../draft.ts';
import {
  asPlaced,
  type Insertion,
  type MemberSize,
  mergeInto,
  type StructureChange,
  structureChange,
  structureChanges,
  zeroMember,
} from '../merged-structure.ts';
import type { Declaration } from '../structure-text.ts';
import type { StructureLayout } from '../surroundings.ts';
import { dirtyPadding, pointersTo } from '../zeroed-objects.ts';

export const padding: Rule = {
  name: 'padding',
  apply(draft: Draft): void {
    for (const change of structureChanges(draft)) {
      if (change.added.length === 0) continue;
      const problems = move(draft, change);
      for (const one of change.added) {
        for (const member of one.names) {
          const subject = `${change.name}.${member}`;
          const problem = problems.get(one.raw);
          if (problem !== undefined) draft.unable('padding', subject, problem);
          else
            draft.applied(
              'padding',
              subject,
              'it lies in padding of the structure, so that no other member moves; objects from before the load have 0',
              `every object of struct ${change.name} starts as zeros, also those that other files make, and 0 is right for objects from before the load`,
            );
        }
      }
    }
  },
};

/** The member without a size that tells the differ that its namesake lies in padding on purpose. */
const marker = 'kpatch_padding_';

/** Moves the new members that it can; why it does not move the others, by their text. */
function move(draft: Draft, { name }: StructureChange): Map<string, string> {
  const change = structureChange(draft, name)!;
  const { added, before } = change;
  const problems = new Map<string, string>();
  const layout = draft.surroundings.layout(name);
  const dirty = layout === undefined ? undefined : dirtyPadding(name, draft.surroundings.users(name));
  const holes = layout === undefined ? [] : holesOf(layout, before.declarations);
  const insertions: Insertion[] = [];
  const obstacle = (one: Declaration): string | undefined => {
    if (layout === undefined) return `the layout of struct ${name} is not known`;
    const size = zeroMember(one, draft.surroundings);
    if (size === undefined) return `"${one.text}" is no plain member for which zeros are a valid value`;
    const other = dirty ?? otherStart(name, one.names[0]!, draft);
    if (other !== undefined) return other;
    const hole = fit(holes, size);
    if (hole === undefined)
      return `struct ${name} has no padding of ${size.size} ${size.size === 1 ? 'byte' : 'bytes'}`;
    insertions.push({ behind: hole.behind, raw: `${one.raw}\n\tchar ${marker}${one.names[0]}[0];` });
    return undefined;
  };
  for (const one of added) {
    const problem = obstacle(one);
    if (problem !== undefined) problems.set(one.raw, problem);
  }
  if (insertions.length === 0) return problems;
  const left = asPlaced(change).filter(({ raw }) => problems.has(raw));
  mergeInto(draft, change, [...insertions, ...left]);
  return problems;
}

interface Hole {
  start: number;
  readonly end: number;
  readonly behind: Declaration;
}

function holesOf({ size, members }: StructureLayout, declarations: readonly Declaration[]): Hole[] {
  const holes: Hole[] = [];
  members.forEach((member, index) => {
    const end = members[index + 1]?.start ?? size;
    // Behind an array without a length is no place.
    if (member.end >= end || member.start === member.end) return;
    const inside =
      member.name === undefined ? undefined : declarations.find(({ names }) => names.includes(member.name!));
    // Of `int a, b;` only the last one has the place behind it.
    if (inside?.isPlain && inside.names.at(-1) === member.name) holes.push({ start: member.end, end, behind: inside });
  });
  return holes;
}

/** Takes a part of the smallest hole that has room. */
function fit(holes: readonly Hole[], { size, align }: MemberSize): Hole | undefined {
  const at = ({ start }: Hole): number => Math.ceil(start / align) * align;
  const [best] = holes
    .filter((hole) => at(hole) + size <= hole.end)
    .sort((a, b) => a.end - a.start - (b.end - b.start));
  if (best !== undefined) best.start = at(best) + size;
  return best;
}

const beginning = /probe|init|setup|create|alloc|attach|bind|start|open|new|register|connect|bringup/i;

/** Why objects from before the load would need another value than 0: what functions that prepare an object store. */
function otherStart(struct: string, member: string, draft: Draft): string | undefined {
  const stores = new RegExp(`([\\w\\])]+)\\s*(?:->|\\.)\\s*${member}\\s*=(?!=)\\s*([^;,}]+)[;,}]`, 'g');
  const own = { file: draft.file, text: draft.text, before: draft.before };
  // Nothing that the patch leaves alone knows the new member.
  for (const { file, text, before } of [own, ...draft.surroundings.users(struct)]) {
    if (before === undefined || (file === draft.file && text !== draft.text)) continue;
    for (const one of functionsIn(text)) {
      const pointers = pointersTo(one, struct);
      const makes = pointers.some((name) => new RegExp(`\\b${name}\\s*=[^;]*alloc\\w*\\s*\\(`).test(one.body));
      if (!makes && !beginning.test(one.name)) continue;
      for (const [whole, base, value] of one.body.matchAll(stores)) {
        // Another structure can have a member of that name.
        if (before.includes(whole) && !pointers.includes(base!)) continue;
        if (!/^(?:0[uUlL]*|0x0+|false|NULL)$/.test(value!.trim()))
          return `${one.name} sets ${member} to "${value!.trim()}", which objects from before the load do not have`;
      }
    }
  }
  return undefined;
}
