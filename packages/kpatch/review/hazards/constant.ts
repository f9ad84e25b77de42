/** A constant that functions exchange through memory changes: one function stores it with the old value, another compares the new. */
import { blanked } from '../../source/c-functions.ts';
import type { Change } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';

export const constant: HazardKind = {
  kind: 'constant',
  title: 'A constant of a protocol between functions, devices or programs changes its value.',
  find: (change) =>
    change.files.flatMap(({ file, before, after }) => [
      ...defines(file, before, after, change),
      ...enums(file, before, after, change),
    ]),
};

function defines(file: string, before: string, after: string, change: Change): Hazard[] {
  const old = definitions(before);
  return [...definitions(after)].flatMap(([name, value]): Hazard[] => {
    const then = old.get(name);
    if (then === undefined || then === value || !isNumber(then) || !isNumber(value)) return [];
    return exchanged(name, change) ? [hazard(file, name, then, value)] : [];
  });
}

function definitions(text: string): Map<string, string> {
  const plain = text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, ' ');
  return new Map(
    [...plain.matchAll(/^[ \t]*#[ \t]*define[ \t]+([A-Z]\w+)[ \t]+([^\n\\]+)$/gm)].map(([, name, value]) => [
      name!,
      value!.trim(),
    ]),
  );
}

function isNumber(value: string): boolean {
  return /^\(?\s*(?:BIT\s*\(\s*\d+\s*\)|(?:0x[\da-fA-F]+|\d+)[uUlL]*(?:\s*<<\s*\d+)?|'.')\s*\)?$/.test(value);
}

/** A value that was inserted before others gives all of them new numbers. */
function enums(file: string, before: string, after: string, change: Change): Hazard[] {
  const old = enumerations(before);
  return [...enumerations(after)].flatMap(([first, values]): Hazard[] => {
    const then =
      old.get(first) ??
      [...old.values()].find((one) => values.filter((name) => one.includes(name)).length > one.length / 2);
    if (then === undefined) return [];
    const moved = then.find(
      (name, at) =>
        values.includes(name) && values.indexOf(name) !== at && !limit.test(name) && exchanged(name, change),
    );
    if (moved === undefined) return [];
    return [hazard(file, moved, String(then.indexOf(moved)), String(values.indexOf(moved)))];
  });
}

/** The last value, which counts the others. */
const limit = /^(?:__\w*(?:MAX|LAST|NUM)\w*|\w*_(?:MAX|LAST|COUNT|NUM|END))$|^(?:NUM|MAX|NR)_/;

function enumerations(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [, body] of blanked(text).matchAll(/\benum\b[^{};()=]*\{([^}]*)\}/g)) {
    if (body!.includes('=')) continue;
    const names = body!
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '');
    if (names.length > 1) found.set(names[0]!, names);
  }
  return found;
}

/** True if one function stores, sends or returns the constant, and another one compares it. */
function exchanged(name: string, { files, functions, unchanged }: Change): boolean {
  const bodies = [
    ...unchanged.map((one) => ({ name: one.name, body: one.body })),
    ...functions.flatMap((one) => (one.after === undefined ? [] : [{ name: one.name, body: one.after.body }])),
  ];
  const compare = new RegExp(
    `case\\s+${name}\\b|[!=]=\\s*${name}\\b|\\b${name}\\s*[!=]=|&\\s*${name}\\b(?!\\s*\\()|test_bit\\s*\\(\\s*${name}\\b`,
  );
  const store = new RegExp(
    `[^=!<>]=\\s*${name}\\s*[;,]|\\|=?\\s*${name}\\b|return\\s+${name}\\b|set_bit\\s*\\(\\s*${name}\\b|[(,]\\s*${name}\\s*[,)]`,
  );
  const comparing = bodies.filter(({ body }) => compare.test(body));
  const storing = bodies.filter(({ body }) => store.test(body.replace(compare, ' ')));
  const isUser = files.some(({ file }) => file.includes('/uapi/'));
  return (
    (comparing.length > 0 &&
      storing.length > 0 &&
      new Set([...comparing, ...storing].map((one) => one.name)).size > 1) ||
    (isUser && comparing.length > 0)
  );
}

function hazard(file: string, name: string, before: string, after: string): Hazard {
  return {
    kind: 'constant',
    place: file,
    function: name,
    reason: `${name} changes from ${before} to ${after}, and one function stores it while another compares it: values from before the load, and tasks that sleep between the two, have the old one`,
    remedy: 'keep the value and add a new constant, or accept both values where it is compared',
  };
}
