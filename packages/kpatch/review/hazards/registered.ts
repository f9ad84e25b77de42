/** Another function is registered as timer, work item, interrupt or callback: what old code registered still calls the old one. */
import { type Change, callsOf, type FunctionChange, memberOf, placeOf, type Statement } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';

export const registered: HazardKind = {
  kind: 'registered',
  title: 'A timer, work item, callback or iterator that old code registered stays as it was registered.',
  find: ({ functions }: Change) => functions.flatMap((one) => changedRegistrations(one)),
};

/** Functions that register, and which of their arguments is the callback. */
const registering: Readonly<Record<string, number>> = {
  timer_setup: 1,
  setup_timer: 1,
  INIT_WORK: 1,
  INIT_DELAYED_WORK: 1,
  INIT_DEFERRABLE_WORK: 1,
  tasklet_init: 1,
  tasklet_setup: 1,
  request_irq: 1,
  request_threaded_irq: 1,
  devm_request_irq: 2,
  devm_request_threaded_irq: 2,
  kthread_init_work: 1,
  kthread_init_delayed_work: 1,
  call_rcu: 1,
  init_waitqueue_func_entry: 1,
  init_task_work: 1,
  init_irq_work: 1,
  netif_napi_add: 2,
  hrtimer_setup: 1,
  usb_fill_bulk_urb: 5,
  usb_fill_int_urb: 5,
  usb_fill_control_urb: 6,
  add_timer_on: -1,
};

/** Members that hold a callback of an object that already exists. */
const callback =
  /^(?:function|func|callback|cb|complete|handler|bi_end_io|end_io|sk_\w*(?:ready|change|space|report|destruct|rcv)|destructor|release|ndo_\w+|notifier_call|action|iterator|actor)$/;

function changedRegistrations(change: FunctionChange): Hazard[] {
  const { before, after, removed, added } = change;
  if (before === undefined || after === undefined) return [];
  const found: Hazard[] = [];
  const old = registrations(removed);
  for (const now of registrations(added)) {
    const then = old.find((one) => one.on === now.on && one.target !== now.target);
    if (then === undefined) continue;
    found.push({
      kind: 'registered',
      place: placeOf(change, now.statement),
      function: change.name,
      reason: `${now.on} now calls ${now.target} instead of ${then.target}: what was registered before the load still calls ${then.target}`,
      remedy: `change ${then.target} itself, so that it works for both, or register existing objects again in a callback`,
    });
  }
  return found;
}

interface Registration {
  readonly on: string;
  readonly target: string;
  readonly statement: Statement;
}

function registrations(statements: readonly Statement[]): Registration[] {
  const calls = callsOf(statements).flatMap(({ name, arguments: given, statement }): Registration[] => {
    const at = registering[name];
    const target = at === undefined ? undefined : given[at];
    const object = name === 'call_rcu' || at === 1 ? given[0] : given[1];
    if (target === undefined || object === undefined || !/^\w+$/.test(target)) return [];
    return [{ on: `${name} of ${memberOf(object) ?? object}`, target, statement }];
  });
  const members = statements.flatMap((statement): Registration[] => {
    const [, name, target] = /(?:->|\.)\s*(\w+)\s*=\s*&?(\w+)$/.exec(statement.text) ?? [];
    return name !== undefined && callback.test(name) && target !== 'NULL'
      ? [{ on: name, target: target!, statement }]
      : [];
  });
  return [...calls, ...members];
}
