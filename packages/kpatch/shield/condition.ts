/**
 * The condition of a shield: a C expression on the arguments that has no effect of its own. It runs in the kernel before the
 * function's own checks, so a member behind a pointer that is NULL or an error value reads as 0.
 */
import { failure } from '../base/errors/error.ts';
import { closing, isName, tokensOf } from '../source/reach/c-text.ts';

/** Functions and macros that only look and may be called anywhere, also under a spin lock. */
const harmless = new Set(
  `capable in_compat_syscall uid_eq gid_eq current_uid current_euid current_gid ntohs ntohl htons htonl be16_to_cpu be32_to_cpu
  be64_to_cpu le16_to_cpu le32_to_cpu le64_to_cpu cpu_to_be16 cpu_to_be32 cpu_to_le16 cpu_to_le32 IS_ERR IS_ERR_OR_NULL
  READ_ONCE S_ISREG S_ISDIR S_ISBLK S_ISCHR S_ISLNK S_ISFIFO S_ISSOCK BIT GENMASK _IOC_TYPE _IOC_NR _IOC_SIZE _IOC_DIR sizeof
  likely unlikely GLOBAL_ROOT_UID upper_32_bits lower_32_bits`.split(/\s+/),
);

export interface ConditionParameter {
  readonly name: string;
  /** As the source declares it. */
  readonly text: string;
}

/**
 * The expression as C code for the guard. Error: `shield-condition` for anything that could have an effect, follow a pointer of a
 * user program, or that is not on the arguments.
 */
export function conditionCode(condition: string, parameters: readonly ConditionParameter[]): string {
  const refuse = (problem: string): Error => failure('shield-condition', { condition, problem });
  if (!/\S/.test(condition)) throw refuse('it is empty');
  if (condition.length > 1000) throw refuse('it has more than 1000 characters');
  if (/[;{}#\\`@$"?]|\/[/*]|\n/.test(condition))
    throw refuse('only names, numbers, operators, members and parentheses are allowed');
  const tokens = tokensOf(condition);
  checkOperators(tokens, refuse);
  const names = new Set(parameters.map(({ name }) => name));
  const user = new Set(
    parameters.filter(({ text }) => /\b__(?:user|iomem|percpu)\b/.test(text)).map(({ name }) => name),
  );
  const code: string[] = [];
  let used = false;
  for (let at = 0; at < tokens.length; ) {
    const word = tokens[at]!;
    if (names.has(word)) {
      used = true;
      const end = accessEnd(tokens, at, refuse);
      const access = tokens.slice(at, end);
      if (user.has(word) && (access.length > 1 || tokens[at - 1] === '*'))
        throw refuse(`${word} points to memory of a program or device, which must not be read directly`);
      code.push(guarded(access));
      at = end;
      continue;
    }
    if (word === 'current') throw refuse('`current` is the calling task; use capable() or current_uid()');
    if (isName(word) && tokens[at + 1] === '(' && !harmless.has(word))
      throw refuse(`it calls ${word}, and only these may be called: ${[...harmless].sort().join(', ')}`);
    if (isName(word) && ((tokens[at + 1] === '-' && tokens[at + 2] === '>') || tokens[at + 1] === '.'))
      throw refuse(`${word} is not an argument of the function (${[...names].join(', ') || 'it has none'})`);
    code.push(word);
    at++;
  }
  if (!used && !/\b(?:capable|uid_eq|in_compat_syscall|gid_eq)\b/.test(condition))
    throw refuse(`it uses none of the arguments (${[...names].join(', ') || 'there are none'})`);
  return joined(code);
}

function checkOperators(tokens: readonly string[], refuse: (problem: string) => Error): void {
  const depth: string[] = [];
  tokens.forEach((word, at) => {
    const next = tokens[at + 1];
    const before = tokens[at - 1] ?? '';
    if (word === '=' && next !== '=' && !/^[=!<>]$/.test(before)) throw refuse('it assigns; use == to compare');
    if (word === '=' && next !== '=' && before !== '' && '<>'.includes(before) && tokens[at - 2] === before)
      throw refuse('it assigns');
    if ((word === '+' || word === '-') && next === word) throw refuse('it contains ++ or --');
    if (word === '*' && (at === 0 || /^[(&|!<>=+\-*/%,]$/.test(before)))
      throw refuse('it follows a pointer with *; use -> to read a member');
    if (word === '&' && next !== '&' && before !== '&' && (at === 0 || /^[(|!<>=+\-*/%,]$/.test(before)))
      throw refuse('it takes an address');
    if (word === ',' && !depth.includes('call')) throw refuse('it contains a comma outside a call');
    if (word === '(') depth.push(isName(before) ? 'call' : 'group');
    if (word === ')' && depth.pop() === undefined) throw refuse('its parentheses do not match');
  });
  if (depth.length > 0) throw refuse('its parentheses do not match');
}

/** Where the members behind the name at `at` end. */
function accessEnd(tokens: readonly string[], at: number, refuse: (problem: string) => Error): number {
  let end = at + 1;
  for (;;) {
    if (tokens[end] === '-' && tokens[end + 1] === '>' && isName(tokens[end + 2])) end += 3;
    else if (tokens[end] === '.' && isName(tokens[end + 1])) end += 2;
    else if (tokens[end] === '[') {
      const close = closing(tokens, end);
      if (!/^\w+$/.test(tokens.slice(end + 1, close - 1).join(' ')))
        throw refuse('an index must be a number or constant');
      end = close;
    } else if (tokens[end] === '(') throw refuse('it calls through an argument');
    else return end;
  }
}

/** The access, with a test of every pointer on the way. */
function guarded(access: readonly string[]): string {
  const pointers: string[] = [];
  access.forEach((word, at) => {
    if ((word === '-' && access[at + 1] === '>') || word === '[') pointers.push(access.slice(0, at).join(''));
  });
  if (pointers.length === 0) return access.join('');
  const tests = pointers.map((one) => `IS_ERR_OR_NULL((const void *)(${one}))`);
  return `(${tests.join(' || ')} ? 0 : ${access.join('')})`;
}

/** Tokens as text again; operators of two characters stay together. */
function joined(code: readonly string[]): string {
  return code
    .map((word, at) => {
      const next = code[at + 1] ?? '';
      const glued = /^[=!<>&|]$/.test(word) && /^[=<>&|]$/.test(next);
      return glued ? word : `${word} `;
    })
    .join('')
    .trim();
}
