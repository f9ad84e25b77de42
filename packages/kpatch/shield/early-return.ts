/**
 * Whether a function may return at its start: without a leak, a lock that stays held, or an object that nobody frees. It decides
 * from the source of the function and of its file. What it cannot show to be safe is a problem.
 */
import { type CFunction, callsIn, functionsIn } from '../source/c-functions.ts';
import { unbalanced } from '../source/locks.ts';

/** Why an early return is unsafe: a word for the kind, and a sentence without a full stop. */
export interface Problem {
  readonly kind: 'lock' | 'ownership' | 'teardown' | 'type' | 'callers';
  readonly text: string;
}

const annotation = /\b__(must_hold|acquires|releases|cond_acquires|acquire|release)\s*\(([^)]*)\)/;

/** Functions that undo: when they return early, what they should have released stays. */
const teardown =
  /(?:^|_)(?:release|destroy|free|exit|put|remove|close|shutdown|cleanup|unregister|detach|disconnect|kill|teardown|disable|stop|deactivate|flush|fini|uninit|evict|drop|unbind|unmap|unload|abort|purge)(?:_|$)/;

/** Functions that give an object back or pass it on, so that the caller must not use it afterwards. */
const consumer =
  /(?:^|_)(?:k?v?free|kfree|consume|put|release|destroy|unref|drop|endio|complete|done|xmit|deliver|rcv|queue_tail|free_rcu|call_rcu)(?:_|$|skb)|^(?:kfree|kvfree|vfree|dev_kfree|consume|napi_consume)_?\w*$|^netif_(?:rx|receive_skb)\w*$/;

const takes = /(?:^|_)(?:get|hold|ref|inc|clone|dup|lookup|find)(?:_|$)/;

/** Functions with "put" in their names that write into an object instead of giving it back. */
const writes = /^(?:nla|nlmsg|genlmsg|skb|seq|put_user|put_unaligned|__skb|list)_/;

/** Objects that are handed over with the call in most of the kernel. */
const handedOver = /\bstruct (?:sk_buff|bio|request|urb|sk_buff_head) ?\*/;

/** Calls that only read a socket buffer. */
const readsBuffer =
  /^(?:nlmsg_|nla_|genl_|netlink_|nl80211_|NETLINK_|skb_(?:tailroom|headroom|headlen|network_header|transport_header|mac_header|shared|cloned|is_\w+|vlan_tag_present)|sock_net|dev_net|ip_hdr|ipv6_hdr|tcp_hdr|udp_hdr|eth_hdr|BUG_ON|WARN_ON|trace_|sizeof)/;

/** Every problem that the source shows; `text` is the whole file. */
export function earlyReturnProblems(text: string, definition: CFunction): Problem[] {
  return [
    ...annotated(text, definition),
    ...lockProblems(definition),
    ...undoes(definition),
    ...ownership(text, definition),
  ];
}

function annotated(text: string, { name, head }: CFunction): Problem[] {
  const declarations = [...text.matchAll(new RegExp(`^[^\\n;{}]*\\b${name}\\s*\\([^;{}]*`, 'gm'))].map(([all]) => all);
  const found = [head, ...declarations].map((one) => annotation.exec(one)).find((match) => match !== null);
  if (found === undefined || found === null) return [];
  const meaning: Readonly<Record<string, string>> = {
    must_hold: 'its caller holds a lock, which it may release and take again',
    acquires: 'it returns with a lock held, which its caller releases',
    releases: 'it releases a lock that its caller holds',
  };
  const text1 = meaning[found[1]!] ?? 'it changes which locks are held';
  return [{ kind: 'lock', text: `it is declared __${found[1]}(${found[2]!.trim()}): ${text1}` }];
}

function lockProblems({ body }: CFunction): Problem[] {
  const { released, kept } = unbalanced(body);
  return [
    ...released.slice(0, 1).map(({ text }): Problem => {
      return { kind: 'lock', text: `it calls ${text} without taking that lock first: its caller holds it` };
    }),
    ...kept.slice(0, 1).map(({ text }): Problem => {
      return { kind: 'lock', text: `it calls ${text} and never releases that lock: its caller does` };
    }),
  ];
}

function undoes({ name }: CFunction): Problem[] {
  const word = teardown.exec(name)?.[0].replaceAll('_', '');
  if (word === undefined) return [];
  return [{ kind: 'teardown', text: `by its name it undoes something (${word}): what it does not release would stay` }];
}

/** Releases of the function's own arguments, directly or in functions of the same file, with the place in the body. */
function ownership(text: string, definition: CFunction): Problem[] {
  const file = new Map(functionsIn(text).map((one) => [one.name, one]));
  const firstError = firstPlainError(definition.body);
  const problems: Problem[] = [];
  definition.parameters.forEach(({ name, text: declared }) => {
    if (!/[*[]/.test(declared) || name === '') return;
    const consumed = consumption(definition, name, file, 3);
    const before = consumed !== undefined && (firstError === undefined || consumed.at < firstError);
    if (consumed !== undefined && before)
      problems.push({
        kind: 'ownership',
        text: `it gives ${name} away (${consumed.how}), also when it fails: after an early return nobody would release it`,
      });
    else if (consumed === undefined && handedOver.test(declared) && passesOn(definition, name))
      problems.push({
        kind: 'ownership',
        text: `it is handed ${declared} and passes it on: kpatch cannot show that its callers release it after an error`,
      });
  });
  return problems;
}

/** Where the function first returns an error that needs no cleanup: `return -EINVAL;` and the like. */
function firstPlainError(body: string): number | undefined {
  const match = /\breturn\s+(?:-E[A-Z0-9]+|ERR_PTR\s*\(|NULL|false|err|error|ret|rc|retval|PTR_ERR\s*\()/.exec(body);
  return match?.index;
}

function consumption(
  { body, parameters: _ }: CFunction,
  name: string,
  file: ReadonlyMap<string, CFunction>,
  depth: number,
): { readonly at: number; readonly how: string } | undefined {
  const calls = callsIn(body);
  for (const [index, call] of calls.entries()) {
    const at = call.arguments.findIndex((one) => isObject(one, name));
    if (at < 0) continue;
    const own = file.get(call.name);
    if (own === undefined) {
      if (!consumer.test(call.name) || takes.test(call.name) || writes.test(call.name)) continue;
      const held = calls.slice(0, index).some((one) => takes.test(one.name) && one.arguments.includes(name));
      if (!held) return { at: call.at, how: `${call.name}(${name})` };
    } else if (depth > 0) {
      const parameter = own.parameters[at]?.name;
      const inner = parameter === undefined ? undefined : consumption(own, parameter, file, depth - 1);
      if (inner !== undefined) return { at: call.at, how: `${call.name} calls ${inner.how}` };
    }
  }
  return undefined;
}

function passesOn({ body }: CFunction, name: string): boolean {
  return (
    callsIn(body).some(({ name: called, arguments: given }) => {
      return given.some((one) => isObject(one, name)) && !readsBuffer.test(called);
    }) || new RegExp(`=\\s*${name}\\s*;`).test(body)
  );
}

/** True if the argument is the object itself: `skb`, or `*skb` where the function is given the place of the pointer. */
function isObject(argument: string, name: string): boolean {
  return argument.replace(/^\*+\s*/, '') === name;
}
