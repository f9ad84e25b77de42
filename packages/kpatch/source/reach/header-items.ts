/**
 * The top level of a header: its definitions one by one, each with the names by which other code uses it. Not a parser of
 * C: what it cannot attribute to names for sure it says so of (`open`), and whoever uses it must then suppose the worst.
 */
import { closing, isName, readMacro, tokensOf, withoutComments } from './c-text.ts';

export interface HeaderItem {
  readonly kind: 'macro' | 'type' | 'function' | 'declaration' | 'assertion' | 'include' | 'conditional' | 'open';
  /** The names through which code that uses the item mentions it. */
  readonly names: readonly string[];
  /** Without comments, white space as single spaces. */
  readonly text: string;
}

/** Words that are in declarations beside names: keywords of C, and the kernel's macros for attributes. */
const attributes = new Set(
  `auto break case char const continue default do double else extern float for goto if inline int long register restrict
  return short signed sizeof static struct switch typedef union unsigned void volatile while enum _Bool bool typeof
  __typeof__ __typeof __inline __inline__ __const __const__ __volatile__ __signed__ __extension__ __attribute__ __attribute
  __always_inline __maybe_unused __must_check __user __kernel __iomem __percpu __rcu __force __bitwise __packed __aligned
  __deprecated __used __unused __init __exit __initdata __initconst __read_mostly __ro_after_init ____cacheline_aligned
  ____cacheline_aligned_in_smp __cacheline_aligned __cacheline_aligned_in_smp __randomize_layout __no_randomize_layout
  __private __nocast __safe __pure __cold __hot __weak __malloc __alloc_size __printf __scanf __section __visible notrace
  noinline noinstr asmlinkage __noreturn __attribute_const__ __acquires __releases __must_hold __acquire __release
  __cond_acquires __counted_by __counted_by_le __counted_by_be __sched __latent_entropy __nonstring __no_kcsan
  __no_sanitize_address __no_kasan_or_inline __flatten __nostackprotector fastcall __refdata __ref __net_init __meminit
  __no_caller_saved_registers __cpuidle __le16 __le32 __le64 __be16 __be32 __be64 u8 u16 u32 u64 s8 s16 s32 s64 __u8 __u16
  __u32 __u64 __s8 __s16 __s32 __s64 size_t ssize_t uint8_t uint16_t uint32_t uint64_t int8_t int16_t int32_t int64_t
  uintptr_t loff_t pid_t gfp_t dma_addr_t phys_addr_t resource_size_t packed aligned __printf_like`.split(/\s+/),
);

/** The items of a header in their order. */
export function headerItems(source: string): HeaderItem[] {
  return new Scanner().scan(withoutComments(source));
}

const brackets: Readonly<Record<string, number>> = { '(': 1, '{': 1, '[': 1, ')': -1, '}': -1, ']': -1 };

class Scanner {
  readonly #items: HeaderItem[] = [];
  #pending: string[] = [];
  #depth = 0;
  /** For each open #if: the depth where it began, and that at the end of its first branch. */
  #branches: { start: number; end: number | undefined; foreign: boolean }[] = [];
  #unsure = false;

  scan(text: string): HeaderItem[] {
    for (const line of text.split('\n')) {
      const directive = /^\s*#\s*(\w*)(.*)$/.exec(line);
      if (directive !== null) this.#directive(directive[1]!, directive[2]!.trim());
      else if (!this.#branches.some(({ foreign }) => foreign)) for (const part of tokensOf(line)) this.#token(part);
    }
    if (this.#pending.length > 0) this.#item({ kind: 'open', names: [], text: this.#pending.join(' ') });
    if (this.#depth !== 0 || this.#branches.length > 0) this.#unsure = true;
    const whole = { kind: 'open', names: [], text } as const;
    return this.#unsure ? [...this.#items, whole] : this.#items;
  }

  #token(part: string): void {
    this.#pending.push(part);
    this.#depth += brackets[part] ?? 0;
    if (this.#depth < 0) {
      this.#unsure = true;
      this.#depth = 0;
    }
    if (this.#depth !== 0) return;
    if (part === ';' || (part === '}' && isFunction(this.#pending))) {
      for (const piece of pieces(this.#pending)) this.#item(classify(piece));
      this.#pending = [];
    }
  }

  #directive(name: string, rest: string): void {
    const text = `# ${name} ${rest.replace(/\s+/g, ' ')}`;
    const branch = this.#branches.at(-1);
    if (/^if(n?def)?$/.test(name)) {
      const foreign = rest === '__cplusplus';
      this.#branches.push({ start: this.#depth, end: undefined, foreign });
    } else if (name === 'else' || name.startsWith('elif')) {
      if (branch === undefined) this.#unsure = true;
      else {
        branch.end ??= this.#depth;
        branch.foreign = false;
        this.#depth = branch.start;
      }
    } else if (name === 'endif') {
      if (branch === undefined) this.#unsure = true;
      else if (branch.end !== undefined && branch.end !== this.#depth) this.#unsure = true;
      else if (branch.end === undefined && branch.start !== this.#depth) this.#unsure = true;
      this.#branches.pop();
    }
    if (name === 'define' || name === 'undef') {
      const macro = readMacro(rest);
      this.#item({
        kind: macro === undefined ? 'open' : 'macro',
        names: macro === undefined ? [] : [macro.name],
        text,
      });
    } else if (name.startsWith('include')) this.#item({ kind: 'include', names: [], text });
    else if (/^(if|ifdef|ifndef|else|elif\w*|endif)$/.test(name)) this.#item({ kind: 'conditional', names: [], text });
    else if (!/^(error|warning|line|)$/.test(name)) this.#item({ kind: 'open', names: [], text });
    if (this.#pending.length > 0 && name !== 'define') this.#pending.push(text);
  }

  #item(item: HeaderItem): void {
    this.#items.push(item);
  }
}

/** Whether the tokens up to a closing brace are a function: its body is after a closing parenthesis or an attribute. */
function isFunction(tokens: readonly string[]): boolean {
  const { head } = split(tokens);
  if (head.includes('=') || /^(typedef|struct|union|enum)$/.test(head[0] ?? '') === false)
    return !head.includes('=') && head.includes('(');
  return head.at(-1) === ')' && callees(head).length > 0;
}

/** A function's or type's text before its first brace, and the rest. */
function split(tokens: readonly string[]): { head: string[]; body: string[] } {
  const own = tokens.filter((part) => !part.startsWith('# '));
  const at = own.indexOf('{');
  return at < 0 ? { head: own, body: [] } : { head: own.slice(0, at), body: own.slice(at) };
}

/** Macro calls without a semicolon are in one piece with what follows them, which begins with a storage class. */
function pieces(tokens: readonly string[]): string[][] {
  let depth = 0;
  const cuts: number[] = [];
  tokens.forEach((part, index) => {
    const before = tokens[index - 1];
    if (depth === 0 && before === ')' && /^(static|extern|typedef)$/.test(part)) cuts.push(index);
    depth += brackets[part] ?? 0;
  });
  return [0, ...cuts].map((from, index) => tokens.slice(from, cuts[index]));
}

/** Names at the outer level that a parenthesis follows. */
function callees(head: readonly string[]): string[] {
  const found: string[] = [];
  let depth = 0;
  head.forEach((part, index) => {
    if (depth === 0 && head[index + 1] === '(' && isName(part) && !attributes.has(part)) found.push(part);
    depth += brackets[part] ?? 0;
  });
  return found;
}

function classify(tokens: readonly string[]): HeaderItem {
  const text = tokens.join(' ');
  const open = { kind: 'open', names: [], text } as const;
  const { head, body } = split(tokens);
  const words = head.filter((part) => !['__extension__', ';'].includes(part));
  const first = words[0];
  if (first === undefined || (body.length === 0 && words.length === 2 && /^(struct|union|enum)$/.test(first))) {
    return { kind: 'assertion', names: [], text }; // a lone semicolon, or a forward declaration: no code follows from it
  }
  if (/^(_Static_assert|static_assert)$/.test(first)) return { kind: 'assertion', names: [], text };
  if (/\b(asm|__asm__|alias|used|__used|constructor|__alias)\b/.test(head.join(' '))) return open;
  const called = callees(head);
  const isBody = body.length > 0 && !head.includes('=');
  if (isBody && head.at(-1) !== ')' && called.length === 0) return type(tokens, text) ?? open;
  if (first === 'typedef') return { kind: 'type', names: declared(head), text };
  const before = called.length === 0 ? undefined : head.indexOf(called[0]!);
  // The name of a macro, or nothing that could be a type before it: what this declares only the macro knows.
  if (called.some((name) => isMacroName(name) && !(isBody && hasParameters(head, name))) || before === 0) return open;
  if (
    before !== undefined &&
    !head
      .slice(0, before)
      .some((part) => isName(part) && !/^(static|extern|inline|__inline|__inline__|__always_inline)$/.test(part))
  )
    return open;
  if (/\) \(/.test(head.join(' ')) && !/\( \*/.test(head.join(' '))) return open;
  const stays = head.includes('static') || head.includes('extern');
  if (isBody)
    return stays && called.length > 0 ? { kind: 'function', names: [...called, ...starred(head)], text } : open;
  if (called.length > 0 && !head.includes('='))
    return { kind: 'declaration', names: [...called, ...starred(head)], text };
  const names = declared(head.includes('=') ? head.slice(0, head.indexOf('=')) : head);
  return stays && names.length > 0 ? { kind: 'declaration', names, text } : open;
}

function isMacroName(name: string): boolean {
  return /^_*[A-Z][A-Z0-9_]*$/.test(name);
}

/** Whether what is in parentheses after the name are a function's parameters: the first has a type and a name. */
function hasParameters(head: readonly string[], name: string): boolean {
  const from = head.indexOf(name) + 2;
  const first = head
    .slice(from, closing(head, from - 1) - 1)
    .join(' ')
    .split(',')[0]!;
  return first.trim() === 'void' || /\w+\s*\*?\s+\w+/.test(first);
}

/** A structure, union or enumeration with its body: its tag, its members, and the names it is defined under. */
function type(tokens: readonly string[], text: string): HeaderItem | undefined {
  const own = tokens.filter((part) => !part.startsWith('# '));
  const from = own.indexOf('{');
  const to = own.lastIndexOf('}');
  const head = own.slice(0, from);
  const tail = own.slice(to + 1).filter((part) => part !== ';');
  const at = head.findIndex((part) => /^(struct|union|enum)$/.test(part));
  if (at < 0) return undefined;
  const names = new Set(head.slice(at + 1).filter((part) => isName(part) && !attributes.has(part)));
  const isTypedef = head.includes('typedef');
  for (const part of tail) {
    if (!isName(part) || attributes.has(part)) continue;
    if (!isTypedef && !part.startsWith('__')) return undefined; // a variable with the type, or a macro
    names.add(part);
  }
  for (const name of members(own.slice(from + 1, to), head[at] === 'enum')) names.add(name);
  return { kind: 'type', names: [...names], text };
}

/** Names of members; more names than that where a member is not written plainly. */
function members(body: readonly string[], isEnum: boolean): string[] {
  const names: string[] = [];
  let segment: string[] = [];
  for (const part of [...body, ';']) {
    if (part === ';' || part === '{' || part === '}' || (isEnum && part === ',')) {
      names.push(
        ...(isEnum
          ? segment.slice(0, segment.indexOf('=') < 0 ? segment.length : segment.indexOf('='))
          : declared(segment)),
      );
      segment = [];
    } else segment.push(part);
  }
  return names.filter((name) => isName(name) && !attributes.has(name));
}

/** The names that a declaration may declare: all of its words but keywords, attributes, tags and the type's name. */
function declared(tokens: readonly string[]): string[] {
  const isMacro = isName(tokens[0]) && tokens[1] === '(' && !attributes.has(tokens[0]);
  const names: string[] = [];
  let typed = false;
  let depth = 0;
  tokens.forEach((part, index) => {
    if (part === '[') depth++;
    if (part === ']') depth--;
    if (depth > 0 || !isName(part)) return;
    const tag = /^(struct|union|enum)$/.test(tokens[index - 1] ?? '');
    if (attributes.has(part) || tag) {
      typed ||=
        tag || !/^(const|volatile|static|extern|typedef|struct|union|enum|__\w+)$/.test(part) || /^__[sub]/.test(part);
      return;
    }
    if (!typed && !isMacro && isName(tokens.slice(index + 1).find((word) => word !== '*' && !attributes.has(word)))) {
      typed = true; // the name of a type: another name follows it
      return;
    }
    names.push(part);
  });
  return names;
}

/** Names after a star in parentheses: functions that give, or variables that hold, pointers to functions. */
function starred(head: readonly string[]): string[] {
  return head.filter((part, index) => isName(part) && head[index - 1] === '*' && head[index - 2] === '(');
}
