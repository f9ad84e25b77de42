/** The value that a shield returns: which values the type of the function and its callers understand. */
import { failure } from '../base/errors/error.ts';
import { type DwarfTypes, TAG } from '../formats/dwarf/type-record.ts';
import type { CFunction } from '../source/c-functions.ts';
import type { Callers } from './callers.ts';

/** What kind of value a function returns, from its debug information. */
export type ReturnKind = 'errno' | 'truth' | 'pointer' | 'none' | 'other';

/** Errors that tell a caller to try again or that only the kernel itself understands. */
const notFinal =
  /^-(?:EAGAIN|EINTR|ERESTART\w*|EIOCBQUEUED|EPROBE_DEFER|ENOIOCTLCMD|EINPROGRESS|EBUSY|ESTALE|EALREADY|EEXIST)$/;

/** Types of integers whose values are no error numbers. */
const codes =
  /^(?:irqreturn_t|netdev_tx_t|rx_handler_result_t|blk_status_t|vm_fault_t|__poll_t|sk_buff_data_t|enum .*)$/;

/** Follows the name of a type to what it is made of. */
export function returnKind(
  types: DwarfTypes,
  key: number | undefined,
): { readonly kind: ReturnKind; readonly name: string } {
  let name = '';
  let at = key;
  for (let step = 0; step < 16; step++) {
    const type = at === undefined ? undefined : types.types.get(at);
    if (type === undefined) return { kind: 'none', name: name === '' ? 'void' : name };
    if (name === '' && type.name !== undefined) name = `${type.tag === TAG.enumeration ? 'enum ' : ''}${type.name}`;
    if (codes.test(name)) return { kind: 'other', name };
    if (type.tag === TAG.pointer) return { kind: 'pointer', name: 'a pointer' };
    if (type.tag === TAG.base) {
      if (type.name === '_Bool') return { kind: 'truth', name };
      return { kind: /unsigned|char/.test(type.name ?? '') ? 'other' : 'errno', name };
    }
    if (type.tag !== TAG.typedef && type.tag !== TAG.const && type.tag !== TAG.volatile) return { kind: 'other', name };
    at = type.type;
  }
  return { kind: 'other', name };
}

/**
 * The C expression to return. Error: `shield-return` if the value does not fit the type, or if callers do not take it as a
 * plain refusal.
 */
export function returnCode(
  value: string,
  found: { readonly kind: ReturnKind; readonly name: string },
  definition: CFunction,
  callers: Callers,
): string {
  const known = understood(found.kind, callers);
  const refuse = (problem: string): Error =>
    failure('shield-return', { value, function: definition.name, problem, known: known.join(', ') || 'none' });
  const isErrno = /^-E[A-Z][A-Z0-9]+$/.test(value);
  if (!isErrno && !/^(?:0|true|false|NULL)$/.test(value)) throw refuse('it is not an error number such as -EPERM');
  if (found.kind === 'none')
    throw refuse('the function returns nothing, so its callers would not learn of the refusal');
  if (found.kind === 'truth') {
    if (value === 'true' || value === 'false') return value;
    throw refuse('the function returns true or false');
  }
  if (value === '0') throw refuse('0 means success to the callers');
  if (found.kind === 'pointer') {
    if (value === 'NULL' && /\breturn NULL;/.test(definition.body)) return value;
    if (isErrno && /\bERR_PTR\s*\(|\bERR_CAST\s*\(/.test(definition.body)) return `ERR_PTR(${value})`;
    throw refuse('the function does not return such a pointer itself');
  }
  if (!isErrno) throw refuse(`the function returns ${found.name}`);
  if (found.kind === 'other' && !callers.own.includes(value))
    throw refuse(`the function returns ${found.name}, whose values are no error numbers`);
  if (callers.special.includes(value)) throw refuse('a caller gives this value a meaning of its own');
  if (notFinal.test(value)) throw refuse('it tells the caller to try again or to go another way');
  return value;
}

/** Values that callers understand as a refusal. */
export function understood(kind: ReturnKind, { own, special }: Callers): string[] {
  if (kind === 'truth') return ['true', 'false'];
  if (kind === 'none') return [];
  const plain = [...new Set([...own, '-EPERM', '-EACCES', '-EOPNOTSUPP'])].filter((value) => !notFinal.test(value));
  return plain.filter((value) => !special.includes(value)).sort();
}
