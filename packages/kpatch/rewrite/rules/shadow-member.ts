/**
 * A new member in a structure of the heap becomes a shadow variable (Documentation/livepatch/shadow-vars.rst). The rewritten structure
 * really lacks the member, so the compiler finds every access that was missed. What is not a plain member of a plain object is
 * refused.
 */
import { sha256 } from '../../base/digest.ts';
import { blanked, type CFunction, splitOutside } from '../../source/c-functions.ts';
import type { Draft, Rule } from '../draft.ts';
import { isOnStacks } from '../merged-structure.ts';
import { structuresIn } from '../structure-text.ts';

const number =
  '(?:(?:const |unsigned |signed )*(?:long long|long|short|int|char|bool|u8|u16|u32|u64|s8|s16|s32|s64|__u8|__u16|__u32|__u64|u?int(?:8|16|32|64)_t|size_t|ssize_t|gfp_t|pid_t|loff_t|ktime_t|dma_addr_t|unsigned)(?: int| long)*)';
const scalar = new RegExp(
  `^(?:${number}(?: \\*)?|enum \\w+|(?:const )?(?:struct|union|enum) \\w+ ?\\*|(?:const )?void ?\\*)$`,
);

interface Member {
  readonly struct: string;
  readonly name: string;
  readonly type: string;
  /** The declaration with its line, in the text. */
  readonly start: number;
  readonly end: number;
}

export const shadowMember: Rule = {
  name: 'shadow-member',
  apply(draft: Draft): void {
    if (!draft.file.endsWith('.c')) return;
    for (const { struct, name } of newMembers(draft)) {
      const member = newMembers(draft).find((one) => one.struct === struct && one.name === name)!;
      const problem = new Conversion(draft, member).run();
      if (problem !== undefined) draft.refused('shadow-member', `${struct}.${name}`, problem);
    }
  },
};

/** Members that a structure of the file has only after the patch. */
function newMembers({ before, text }: Draft): Member[] {
  const old = new Map<string, Set<string>>();
  for (const { struct, name } of membersIn(before)) old.set(struct, (old.get(struct) ?? new Set()).add(name));
  // The rule `padding` has found a place for those with a marker.
  const settled = new Set([...structuresIn(text).values()].filter(isOnStacks).map(({ name }) => name));
  return membersIn(text).filter(
    ({ struct, name }) =>
      !settled.has(struct) &&
      old.has(struct) &&
      !old.get(struct)!.has(name) &&
      !text.includes(`kpatch_padding_${name}[0]`),
  );
}

function membersIn(text: string): Member[] {
  const quiet = blanked(text);
  return [...quiet.matchAll(/^struct\s+(\w+)\s*\{([^{}]*)\}/gm)].flatMap((match) => {
    const from = match.index + match[0].indexOf('{') + 1;
    return [...match[2]!.matchAll(/^[ \t]*([\w ]+?[ \t*]+)(\w+)[ \t]*;[^\n]*\n/gm)].map((line) => ({
      struct: match[1]!,
      name: line[2]!,
      type: line[1]!.replace(/\s+/g, ' ').trim().replace(/ ?\*$/, ' *'),
      start: from + line.index,
      end: from + line.index + line[0].length,
    }));
  });
}

/** In front of a statement: only there an assignment can become a call. */
const atStart = '(?<=(?:^|[;{}):]|\\belse|\\*\\/)\\s*)';

class Conversion {
  readonly #draft: Draft;
  readonly #member: Member;
  readonly #id: number;
  readonly #original: string;

  constructor(draft: Draft, member: Member) {
    this.#draft = draft;
    this.#member = member;
    this.#original = draft.text;
    // The same in every later patch, so that values survive a replacement.
    this.#id = Number.parseInt(sha256(`${draft.file} ${member.struct}.${member.name}`).slice(0, 7), 16) + 1;
  }

  /** Rewrites the draft; what it returns is why it did not, and then nothing has changed. */
  run(): string | undefined {
    const problem = this.#obstacle() ?? this.#convert();
    if (problem !== undefined) this.#draft.text = this.#original;
    return problem;
  }

  #obstacle(): string | undefined {
    const { struct, name, type } = this.#member;
    const quiet = blanked(this.#draft.text);
    if (!scalar.test(type)) return `its type "${type}" is not a number or pointer`;
    if (new RegExp(`\\bstruct\\s+${struct}\\s+\\w+\\s*[;=,\\[]`).test(quiet))
      return `struct ${struct} is embedded, static or on a stack somewhere`;
    if (new RegExp(`\\bdevm_\\w*alloc\\w*\\s*\\([^;]*\\b${struct}\\b`).test(quiet))
      return `devm_ functions free struct ${struct} where this file does not see it`;
    if (
      new RegExp(`mem(?:cpy|move|dup|dup_user)\\s*\\([^;]*sizeof\\s*\\(\\s*(?:struct\\s+${struct}\\b|\\*)`).test(quiet)
    )
      return 'objects are copied as a whole';
    if (new RegExp(`offsetof(?:end)?\\s*\\(\\s*struct\\s+${struct}\\s*,\\s*${name}\\b`).test(quiet))
      return 'its place in the structure is used';
    if (new RegExp(`&[\\w>.()-]*->${name}\\b`).test(quiet)) return 'its address is taken';
    return undefined;
  }

  #convert(): string | undefined {
    const initial = this.#initialValue();
    if (typeof initial === 'object') return initial.problem;
    const frees = this.#coverFrees();
    if (frees === 0) return `no function of this file frees struct ${this.#member.struct}`;
    const problem = this.#accesses();
    if (problem !== undefined) return problem;
    this.#helpers(initial);
    this.#callbacks();
    const { struct, name } = this.#member;
    this.#draft.applied(
      'shadow-member',
      `${struct}.${name}`,
      `it becomes the shadow variable ${this.#id}, which ${frees === 1 ? 'one place frees' : `${frees} places free`} with the object; objects without one have ${initial}`,
      `this file frees every struct ${struct}; without memory, and until the transition is complete, an object keeps ${initial}`,
    );
    return undefined;
  }

  /** What objects from before the load have: what the functions that allocate store, else 0. */
  #initialValue(): string | { readonly problem: string } {
    const { struct, name } = this.#member;
    const values = new Set<string>();
    let allocated = false;
    for (const one of this.#draft.functions) {
      const allocates = variablesOf(one, struct).some((variable) =>
        new RegExp(
          `\\b${variable}\\s*=\\s*(?:\\([^)]*\\)\\s*)?(?:k[mzc]alloc\\w*|kvzalloc|kmem_cache_z?alloc)\\w*\\s*\\(`,
        ).test(one.body),
      );
      if (!allocates) continue;
      allocated = true;
      for (const [, value] of one.body.matchAll(new RegExp(`->${name}\\s*=(?!=)\\s*([^;]+);`, 'g')))
        values.add(value!.trim());
    }
    if (!allocated) return { problem: `no function of this file allocates struct ${struct}` };
    if (values.size > 1) return { problem: 'functions that allocate store different values' };
    const [value = '0'] = values;
    if (!/^(?:-?\d+[uUlL]*|0x[\da-fA-F]+|NULL|true|false|[A-Z][A-Z0-9_]*)$/.test(value))
      return { problem: `what objects from before the load should have cannot be derived from "${value}"` };
    return value;
  }

  /** Frees the shadow variable in front of every free; the number of places. */
  #coverFrees(): number {
    const { struct } = this.#member;
    let places = 0;
    for (const one of [...this.#draft.functions].reverse()) {
      const variables = variablesOf(one, struct);
      const body = this.#draft.text.slice(one.open, one.end);
      const changed = body.replace(
        /\b(kfree|kvfree|kfree_sensitive|kfree_rcu|kmem_cache_free)\s*\(([^;]*)\);/g,
        (call, how: string, list: string) => {
          const given = splitOutside(list);
          const object = how === 'kmem_cache_free' ? given[1] : given[0];
          const isOurs =
            object !== undefined &&
            (variables.includes(object) ||
              new RegExp(`^container_of\\s*\\(.*\\bstruct\\s+${struct}\\b`, 's').test(object));
          if (!isOurs) return call;
          places++;
          return `do { klp_shadow_free(${object}, ${this.#id}, NULL); ${call} } while (0);`;
        },
      );
      if (changed !== body) this.#draft.replace(one.open, one.end, changed);
    }
    return places;
  }

  #accesses(): string | undefined {
    const { struct, name } = this.#member;
    const access = new RegExp(`\\b(\\w+)->${name}\\b`, 'g');
    for (const one of [...this.#draft.functions].reverse()) {
      const variables = variablesOf(one, struct);
      const body = this.#draft.text.slice(one.open, one.end);
      const quiet = blanked(body);
      for (const match of quiet.matchAll(new RegExp(`(\\S{0,40}?)(?:->|\\.)${name}\\b`, 'g'))) {
        const base = /(\w+)$/.exec(match[1]!)?.[1];
        const known =
          base !== undefined &&
          match[0].endsWith(`${base}->${name}`) &&
          new RegExp(`(?:^|[^\\w>.])${base}->${name}$`).test(match[0]);
        if (!known) return `${one.name} reaches it in a way that is not read (${match[0].trim()})`;
        if (!variables.includes(base) && !otherType(one, base))
          return `the type of ${base} in ${one.name} is not known`;
      }
      const [get, set] = [this.#getter, this.#setter];
      const ours = (variable: string): boolean => variables.includes(variable);
      const written = body
        .replace(
          new RegExp(`${atStart}(\\w+)->${name}\\s*([-+|&^*/%]|<<|>>)?=(?!=)\\s*([^;]+);`, 'g'),
          (all, variable: string, operator: string | undefined, value: string) => {
            if (!ours(variable)) return all;
            const result = operator === undefined ? value : `${get}(${variable}) ${operator} (${value})`;
            return `${set}(${variable}, ${result});`;
          },
        )
        .replace(
          new RegExp(`${atStart}(?:(\\+\\+|--)(\\w+)->${name}|(\\w+)->${name}(\\+\\+|--));`, 'g'),
          (all, first, a, b, last) => {
            const variable = (a ?? b) as string;
            return ours(variable) ? `${set}(${variable}, ${get}(${variable}) ${(first ?? last)[0]} 1);` : all;
          },
        );
      if (
        new RegExp(`\\b(\\w+)->${name}\\s*(?:=(?!=)|[-+|&^*/%]=|\\+\\+|--)|(?:\\+\\+|--)\\w+->${name}\\b`).test(
          blanked(written).replace(access, (all, v: string) => (ours(v) ? all : '0')),
        )
      )
        return `${one.name} writes it inside of an expression`;
      const read = written.replace(access, (all, variable: string) => (ours(variable) ? `${get}(${variable})` : all));
      if (read !== body) this.#draft.replace(one.open, one.end, read);
    }
    return undefined;
  }

  get #getter(): string {
    return `kpatch_get_${this.#member.struct}_${this.#member.name}`;
  }

  get #setter(): string {
    return `kpatch_set_${this.#member.struct}_${this.#member.name}`;
  }

  get #ready(): string {
    return `kpatch_ready_${this.#member.struct}_${this.#member.name}`;
  }

  /** Removes the member, and puts the functions that stand for it behind the structure. */
  #helpers(initial: string): void {
    const { struct, name, type } = this.#member;
    const member = newMembers(this.#draft).find((one) => one.struct === struct && one.name === name)!;
    const pointer = type.endsWith('*') ? type : `${type} `;
    const code = `

/* ${name} of struct ${struct}, added by kpatch rewrite. It is used only while all tasks run code that frees it. */
static bool ${this.#ready};

static noinline ${pointer}${this.#getter}(struct ${struct} *object)
{
	${pointer}*value = READ_ONCE(${this.#ready}) ? klp_shadow_get(object, ${this.#id}) : NULL;

	return value ? *value : ${initial};
}

static noinline __maybe_unused void ${this.#setter}(struct ${struct} *object, ${pointer}new_value)
{
	${pointer}*value;

	if (!READ_ONCE(${this.#ready}))
		return;
	value = klp_shadow_get_or_alloc(object, ${this.#id}, sizeof(*value), GFP_ATOMIC, NULL, NULL);
	if (value)
		*value = new_value;
	else
		pr_warn_once("kpatch: no memory for ${name} of struct ${struct}\\n");
}
`;
    this.#draft.replace(member.start, member.end, '');
    const quiet = blanked(this.#draft.text);
    const at = quiet.search(new RegExp(`^struct\\s+${struct}\\s*\\{`, 'm'));
    const end = quiet.indexOf(';', quiet.indexOf('}', at)) + 1;
    this.#draft.replace(end, end, code);
    const first = blanked(this.#draft.text).slice(0, at).lastIndexOf('\nstruct ');
    const include = this.#draft.text.lastIndexOf('#include', at);
    const place = include < 0 ? Math.max(0, first) : this.#draft.text.indexOf('\n', include) + 1;
    this.#draft.replace(place, place, '#include <linux/livepatch.h>\n#include <linux/printk.h>\n');
  }

  #callbacks(): void {
    // A patch that is replaced by this one frees the variable too, so it can be used at once.
    this.#draft.callback('pre_patch', `if (klp_get_prev_state(${this.#id}))\n\t\tWRITE_ONCE(${this.#ready}, true);`);
    // After an unload that was reversed, old code may have freed objects without their variables.
    this.#draft.callback(
      'post_patch',
      `if (!READ_ONCE(${this.#ready}))\n\t\tklp_shadow_free_all(${this.#id}, NULL);\n\tWRITE_ONCE(${this.#ready}, true);`,
    );
    this.#draft.callback('pre_unpatch', `WRITE_ONCE(${this.#ready}, false);`);
    this.#draft.callback('post_unpatch', `klp_shadow_free_all(${this.#id}, NULL);`);
    this.#draft.state(this.#id);
  }
}

/** Variables and parameters of a function that point to the structure. */
function variablesOf(one: CFunction, struct: string): string[] {
  const declared = new RegExp(`\\bstruct\\s+${struct}\\s*\\*\\s*(?:const\\s+)?(\\w+)`, 'g');
  return [...`${one.head} ${one.body}`.matchAll(declared)].map(([, name]) => name!);
}

/** True if the function declares the variable with another structure. */
function otherType(one: CFunction, variable: string): boolean {
  return new RegExp(`\\bstruct\\s+\\w+\\s*\\*\\s*(?:const\\s+)?${variable}\\b`).test(`${one.head} ${one.body}`);
}
