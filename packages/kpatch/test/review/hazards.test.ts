/**
 * Each kind of hazard with patches modelled on what went wrong in public post-mortems of live patches, each beside a harmless
 * patch that looks similar.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { hazardProblem } from '#kpatch/host/acceptance/hazards.ts';
import { policyOf } from '#kpatch/host/acceptance/policy-shape.ts';
import { changeOf } from '#kpatch/review/change.ts';
import { kindNames } from '#kpatch/review/hazard.ts';
import { hazardsOf, kinds, readKinds, requireAllowed } from '#kpatch/review/review.ts';
import { manifestOf } from '../host/fake.ts';
import { provokes } from '../provoke.ts';

interface Case {
  readonly what: string;
  readonly before: string;
  readonly after: string;
  readonly mention?: string;
}

function found({ before, after, mention }: Case) {
  const mentions = new Map(mention === undefined ? [] : [['a/other.c', mention] as const]);
  return hazardsOf(changeOf([{ file: 'a/b.c', before, after }], mentions));
}

const hazardous: Readonly<Record<string, readonly Case[]>> = {
  'stored-value': [
    {
      what: 'numbers that must not repeat come from another counter',
      before:
        'struct peer {\n\tint a;\n\tatomic64_t sent;\n};\nstatic u64 next(struct peer *p, struct key *k) { if (!p) return atomic64_inc_return(&k->seqno); return atomic64_inc_return(&p->sent); }',
      after:
        'struct peer {\n\tint a;\n};\nstatic u64 next(struct peer *p, struct key *k) { return atomic64_inc_return(&k->seqno); }',
    },
    {
      what: 'a cookie changes its unit on both sides',
      before:
        'static void arm(struct q *q) { q->deadline = jiffies + HZ; }\nstatic int due(struct q *q) { return time_after(jiffies, q->deadline); }',
      after:
        'static void arm(struct q *q) { q->deadline = ktime_get_ns() + NSEC_PER_SEC; }\nstatic int due(struct q *q) { return ktime_get_ns() > q->deadline; }',
    },
    {
      what: 'a member keeps its size and changes its type',
      before: 'struct q {\n\tstruct file *owner;\n\tint n;\n};\n',
      after: 'struct q {\n\tstruct cred *owner;\n\tint n;\n};\n',
    },
    {
      what: 'a callback takes its argument as another structure',
      before: 'static void done(void *data)\n{\n\tstruct request *rq = data;\n\tfinish(rq);\n}',
      after: 'static void done(void *data)\n{\n\tstruct batch *b = data;\n\tfinish(b->rq);\n}',
    },
  ],
  'lock-change': [
    {
      what: 'the function no longer releases the lock of its caller',
      before: 'static void end(struct q *q) { q->n = 0; spin_unlock(&q->lock); }',
      after: 'static void end(struct q *q) { q->n = 0; }',
    },
    {
      what: 'the function no longer releases the block that its caller locked',
      before: 'static int end(struct block *b) { finish(b); bm_unlock(b); return 0; }',
      after: 'static int end(struct block *b) { finish(b); return 0; }',
    },
    {
      what: 'one of two users of the same data takes another lock',
      before:
        'static void a(struct q *q) { mutex_lock(&q->lock); q->n++; mutex_unlock(&q->lock); }\nstatic void b(struct q *q) { mutex_lock(&q->lock); q->n--; mutex_unlock(&q->lock); }',
      after:
        'static void a(struct q *q) { mutex_lock(&q->io_lock); q->n++; mutex_unlock(&q->io_lock); }\nstatic void b(struct q *q) { mutex_lock(&q->lock); q->n--; mutex_unlock(&q->lock); }',
    },
  ],
  'reference-change': [
    {
      what: 'a reference is taken when work is queued and given back when it ran',
      before: 'static void queue(struct c *c) { schedule_work(&c->work); }\nstatic void run(struct c *c) { work(c); }',
      after:
        'static void queue(struct c *c) { conn_hold(c); schedule_work(&c->work); }\nstatic void run(struct c *c) { work(c); conn_put(c); }',
    },
    {
      what: 'a reference that was carried is no longer taken',
      before:
        'static void queue(struct c *c) { kref_get(&c->ref); push(c); }\nstatic void run(struct c *c) { kref_put(&c->ref, f); }',
      after: 'static void queue(struct c *c) { push(c); }\nstatic void run(struct c *c) { pop(c); }',
    },
  ],
  registered: [
    {
      what: 'a timer gets another function',
      before: 'static void start(struct q *q) { timer_setup(&q->timer, old_expire, 0); }',
      after: 'static void start(struct q *q) { timer_setup(&q->timer, new_expire, 0); }',
    },
    {
      what: 'a socket gets another destructor',
      before: 'static void own(struct sk_buff *skb) { skb->destructor = sock_wfree; }',
      after: 'static void own(struct sk_buff *skb) { skb->destructor = sock_efree; }',
    },
  ],
  uninitialised: [
    {
      what: 'a lock that probe initialises is used by an ioctl',
      before:
        'static int probe(struct d *d) { return start(d); }\nstatic int control(struct d *d) { d->n++; return 0; }',
      after:
        'static int probe(struct d *d) { mutex_init(&d->ctl_lock); return start(d); }\nstatic int control(struct d *d) { mutex_lock(&d->ctl_lock); d->n++; mutex_unlock(&d->ctl_lock); return 0; }',
    },
    {
      what: 'probe stores a new member that an attribute reads',
      before:
        'struct d {\n\tint n;\n};\nstatic int d_probe(struct d *d) { return 0; }\nstatic int rate_show(struct d *d) { return ask(d); }',
      after:
        'struct d {\n\tint n;\n\tu32 rate;\n};\nstatic int d_probe(struct d *d) { d->rate = ask(d); return 0; }\nstatic int rate_show(struct d *d) { return d->rate; }',
    },
    {
      what: 'a new member is 0 in new objects, and old ones were not cleared',
      before:
        'struct d {\n\tunion {\n\t\tint n;\n\t} u;\n};\nstatic struct d *d_create(void) { struct d *d = kmalloc(sizeof(*d), GFP_KERNEL); return d; }\nstatic int work(struct d *d) { return ask(d); }',
      after:
        'struct d {\n\tbool mapped;\n\tunion {\n\t\tint n;\n\t} u;\n};\nstatic struct d *d_create(void) { struct d *d = kmalloc(sizeof(*d), GFP_KERNEL); d->mapped = false; return d; }\nstatic int work(struct d *d) { if (d->mapped) return 0; return ask(d); }',
    },
    {
      what: 'a work moves to another structure',
      before:
        'struct port {\n\tstruct delayed_work poll;\n};\nstruct hub {\n\tint n;\n};\nstatic void begin(struct port *p) { INIT_DELAYED_WORK(&p->poll, f); }\nstatic void stop(struct port *p) { cancel_delayed_work_sync(&p->poll); }',
      after:
        'struct port {\n\tint n;\n};\nstruct hub {\n\tint n;\n\tstruct delayed_work poll;\n};\nstatic void begin(struct hub *h) { INIT_DELAYED_WORK(&h->poll, f); }\nstatic void stop(struct hub *h) { cancel_delayed_work_sync(&h->poll); }',
    },
    {
      what: 'a registered table says more, and probe reads it',
      before:
        'static const struct usb_device_id ids[] = {\n\t{ .idVendor = 1 },\n};\nstatic int d_probe(struct d *d, const struct usb_device_id *id) { return 0; }',
      after:
        'static const struct usb_device_id ids[] = {\n\t{ .idVendor = 1, .driver_info = 7 },\n};\nstatic int d_probe(struct d *d, const struct usb_device_id *id) { d->features = id->driver_info; return 0; }',
    },
    {
      what: 'a new flag says that something was done',
      before:
        '#define A_BUSY 1\nstatic void open(struct d *d) { start(d); }\nstatic void shut(struct d *d) { stop(d); }',
      after:
        '#define A_BUSY 1\n#define A_STARTED 2\nstatic void open(struct d *d) { start(d); set_bit(A_STARTED, &d->flags); }\nstatic void shut(struct d *d) { if (test_bit(A_STARTED, &d->flags)) stop(d); }',
    },
  ],
  constant: [
    {
      what: 'a state is inserted into an enumeration',
      before:
        'enum st { ST_IDLE, ST_RUN, ST_DEAD };\nstatic void kill(struct q *q) { q->state = ST_DEAD; }\nstatic int dead(struct q *q) { return q->state == ST_DEAD; }',
      after:
        'enum st { ST_IDLE, ST_WAIT, ST_RUN, ST_DEAD };\nstatic void kill(struct q *q) { q->state = ST_DEAD; }\nstatic int dead(struct q *q) { return q->state == ST_DEAD; }',
    },
    {
      what: 'a command of a protocol gets another number',
      before:
        '#define CMD_STOP 4\nstatic void send(struct q *q) { post(q, CMD_STOP); }\nstatic int take(struct q *q) { switch (q->cmd) { case CMD_STOP: return 1; } return 0; }',
      after:
        '#define CMD_STOP 7\nstatic void send(struct q *q) { post(q, CMD_STOP); }\nstatic int take(struct q *q) { switch (q->cmd) { case CMD_STOP: return 1; } return 0; }',
    },
  ],
  'never-left': [
    {
      what: 'the main function of a kernel thread changes',
      before:
        'static int worker(void *data) { while (!kthread_should_stop()) step(data); return 0; }\nstatic int go(struct q *q) { q->t = kthread_run(worker, q, "w"); return 0; }',
      after:
        'static int worker(void *data) { while (!kthread_should_stop()) step2(data); return 0; }\nstatic int go(struct q *q) { q->t = kthread_run(worker, q, "w"); return 0; }',
    },
    {
      what: 'the thread is started in another file',
      before: 'int worker(void *data) { for (;;) step(data); return 0; }',
      after: 'int worker(void *data) { for (;;) step2(data); return 0; }',
      mention: 'static int go(struct q *q) { q->t = kthread_create(worker, q, "w"); return 0; }',
    },
    {
      what: 'the scheduler changes',
      before: 'asmlinkage void schedule(void) { a(); }',
      after: 'asmlinkage void schedule(void) { b(); }',
    },
    {
      what: 'only initialisation code calls it',
      before: 'static int setup(void) { return 1; }\nstatic int __init start(void) { return setup(); }',
      after: 'static int setup(void) { return 2; }\nstatic int __init start(void) { return setup(); }',
    },
  ],
  exported: [
    {
      what: 'an exported function gets an argument',
      before: 'int api(struct d *d) { return d->n; }\nEXPORT_SYMBOL_GPL(api);',
      after: 'int api(struct d *d, int flags) { return d->n; }\nEXPORT_SYMBOL_GPL(api);',
    },
    {
      what: 'its callers must now hold a lock',
      before: 'int api(struct d *d) { return d->n; }\nEXPORT_SYMBOL(api);',
      after: 'int api(struct d *d) { lockdep_assert_held(&d->lock); return d->n; }\nEXPORT_SYMBOL(api);',
    },
    {
      what: 'it returns error pointers instead of NULL',
      before: 'struct d *api(int n) { return n ? find(n) : NULL; }\nEXPORT_SYMBOL(api);',
      after: 'struct d *api(int n) { if (!n) return ERR_PTR(-EINVAL); return find(n); }\nEXPORT_SYMBOL(api);',
    },
  ],
  together: [
    {
      what: 'a wait and its wake-up change',
      before:
        'static int rd(struct q *q) { wait_event(q->wait, q->n); return 0; }\nstatic void wr(struct q *q) { q->n = 1; wake_up(&q->wait); }',
      after:
        'static int rd(struct q *q) { wait_event(q->rwait, q->n > 1); return 0; }\nstatic void wr(struct q *q) { q->n = 2; wake_up(&q->rwait); }',
    },
    {
      what: 'a producer and a consumer count differently',
      before:
        'static void put1(struct r *r) { r->head = (r->head + 1) % r->n; }\nstatic int room(struct r *r) { return r->n - (r->head - r->rd); }',
      after:
        'static void put1(struct r *r) { r->head = r->head + 1; }\nstatic int room(struct r *r) { return r->n - ((r->head & r->mask) - r->rd); }',
    },
  ],
};

const harmless: readonly Case[] = [
  {
    what: 'a table gets a function, which reads a member of that name',
    before: 'static struct driver d = {\n\t.name = "d",\n};\nstatic int dump(struct d *d) { return 0; }',
    after:
      'static struct driver d = {\n\t.name = "d",\n\t.dump = dump,\n};\nstatic int dump(struct d *d) { return d->ops->dump; }',
  },
  {
    what: 'a table that says more to code that read it before, and a new one',
    before:
      'static const struct id ids[] = {\n\t{ .vendor = 1 },\n\t{ .vendor = 2, .info = 3 },\n};\nstatic int d_probe(struct d *d, const struct id *id) { d->a = id->info; return 0; }',
    after:
      'static const struct id ids[] = {\n\t{ .vendor = 1, .info = 7 },\n\t{ .vendor = 2, .info = 3 },\n};\nstatic const struct more more = {\n\t.size = 4,\n};\nstatic int d_probe(struct d *d, const struct id *id) { d->a = id->info; return d->a + d->m->size; }',
  },
  {
    what: 'a new member of which 0 is the first value',
    before:
      'struct d {\n\tint n;\n};\nstatic int d_probe(struct d *d) { return 0; }\nstatic int work(struct d *d) { return ask(d); }',
    after:
      'struct d {\n\tint n;\n\tbool gone;\n};\nstatic int d_probe(struct d *d) { d->gone = false; return 0; }\nstatic int work(struct d *d) { if (d->gone) return 0; return ask(d); }\nstatic void remove(struct d *d) { d->gone = true; }',
  },
  {
    what: 'a new member of objects on stacks',
    before:
      'struct d {\n\tint n;\n};\nstatic void d_init(struct d *d) { d->n = 1; }\nstatic int use(struct d *d) { return d->n; }\nstatic int all(void) { struct d d; d_init(&d); return use(&d); }',
    after:
      'struct d {\n\tint n;\n\tint m;\n};\nstatic void d_init(struct d *d) { d->n = 1; d->m = 2; }\nstatic int use(struct d *d) { return d->n + d->m; }\nstatic int all(void) { struct d d; d_init(&d); return use(&d); }',
  },
  {
    what: 'a helper finds and locks what the function unlocks under its own name',
    before:
      'static void stop(struct timer *t) { struct task *p; rcu_read_lock(); p = find(t); lock_sighand(p, &f); drop(t); unlock_sighand(p, &f); rcu_read_unlock(); }\nstatic void other(struct task *p) { rcu_read_lock(); lock_sighand(p, &f); unlock_sighand(p, &f); rcu_read_unlock(); }',
    after:
      'static void stop(struct timer *t) { struct task *p; p = timer_lock_sighand(t, &f); drop(t); unlock_sighand(p, &f); }\nstatic void other(struct task *p) { rcu_read_lock(); lock_sighand(p, &f); unlock_sighand(p, &f); rcu_read_unlock(); }',
  },
  {
    what: 'a bit is cleared with another order of memory',
    before: 'static void end(struct q *q) { clear_bit(BUSY, &q->flags); wake_up(&q->wait); }',
    after: 'static void end(struct q *q) { clear_bit_unlock(BUSY, &q->flags); wake_up(&q->wait); }',
  },
  {
    what: 'a statement that stores a member moves within its function',
    before:
      'static void build(struct q *q) { prepare(q); q->state = state; }\nstatic int ready(struct q *q) { return q->state && q->n; }',
    after:
      'static void build(struct q *q) { q->state = state; prepare(q); }\nstatic int ready(struct q *q) { return q->state && q->m; }',
  },
  {
    what: 'a function does without a block that it locked and unlocked itself',
    before:
      'static int save(struct pool *p) { struct block *b; int r = super_lock(p, &b); if (r) return r; write_root(b); bm_unlock(b); return 0; }',
    after: 'static int save(struct pool *p) { p->root = 1; return 0; }',
  },
  {
    what: 'the same where the lock is taken by a name that does not fit',
    before:
      'static int show(struct pool *p) { struct block *b; int r = bm_read_lock(p->bm, 1, &b); if (r) return r; use(b); bm_unlock(b); return 0; }',
    after: 'static int show(struct pool *p) { return p->root; }',
  },
  {
    what: 'a missing check of a length',
    before: 'static int f(struct q *q, int n) { memcpy(q->b, q->a, n); return 0; }',
    after: 'static int f(struct q *q, int n) { if (n > q->size) return -EINVAL; memcpy(q->b, q->a, n); return 0; }',
  },
  {
    what: 'a reference taken and given back in the same function',
    before: 'static int f(struct c *c) { return use(c); }',
    after: 'static int f(struct c *c) { int r; conn_hold(c); r = use(c); conn_put(c); return r; }',
  },
  {
    what: 'a lock around an access, taken and released in the same function',
    before: 'static void f(struct q *q) { q->n = 0; }',
    after: 'static void f(struct q *q) { mutex_lock(&q->lock); q->n = 0; mutex_unlock(&q->lock); }',
  },
  {
    what: 'the same lock with interrupts disabled',
    before: 'static void f(struct q *q) { spin_lock(&q->lock); q->n = 0; spin_unlock(&q->lock); }',
    after:
      'static void f(struct q *q) { unsigned long g; spin_lock_irqsave(&q->lock, g); q->n = 0; spin_unlock_irqrestore(&q->lock, g); }',
  },
  {
    what: 'a put that was missing on an error path',
    before: 'static int f(struct c *c) { struct d *d = d_get(c); if (!ok(d)) return -EIO; d_put(d); return 0; }',
    after:
      'static int f(struct c *c) { struct d *d = d_get(c); if (!ok(d)) { d_put(d); return -EIO; } d_put(d); return 0; }',
  },
  {
    what: 'a longer timeout that only one function uses',
    before: '#define WAIT_MS 10\nstatic void f(void) { msleep(WAIT_MS); }',
    after: '#define WAIT_MS 50\nstatic void f(void) { msleep(WAIT_MS); }',
  },
  {
    what: 'a value added at the end of an enumeration',
    before:
      'enum st { ST_A, ST_B };\nstatic void f(struct q *q) { q->s = ST_B; }\nstatic int g(struct q *q) { return q->s == ST_B; }',
    after:
      'enum st { ST_A, ST_B, ST_C };\nstatic void f(struct q *q) { q->s = ST_B; }\nstatic int g(struct q *q) { return q->s == ST_B; }',
  },
  {
    what: 'READ_ONCE and WRITE_ONCE',
    before: 'static void f(struct q *q) { q->n = 1; }\nstatic int g(struct q *q) { return q->n; }',
    after: 'static void f(struct q *q) { WRITE_ONCE(q->n, 1); }\nstatic int g(struct q *q) { return READ_ONCE(q->n); }',
  },
  {
    what: 'a work item that is cancelled when the device goes',
    before: 'static void stop(struct d *d) { kfree(d->b); }',
    after: 'static void stop(struct d *d) { cancel_work_sync(&d->work); kfree(d->b); }',
  },
  {
    what: 'a renamed parameter of an exported function',
    before: 'int api(struct d *d) { return d->n; }\nEXPORT_SYMBOL(api);',
    after: 'int api(struct d *dev) { return dev->n; }\nEXPORT_SYMBOL(api);',
  },
];

for (const [kind, cases] of Object.entries(hazardous)) {
  describe(kind, () => {
    for (const one of cases)
      test(`found: ${one.what}`, () => {
        const hazards = found(one);
        assert.ok(
          hazards.some((hazard) => hazard.kind === kind),
          JSON.stringify(hazards),
        );
        for (const { place, reason, remedy } of hazards) assert.ok(place !== '' && reason.length > 20 && remedy !== '');
      });
  });
}

describe('harmless', () => {
  for (const one of harmless) test(`no alarm: ${one.what}`, () => assert.deepEqual(found(one), []));
});

test('every kind has tests and a section in docs/review.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/review.md'), 'utf8');
  assert.deepEqual(
    kinds.map(({ kind }) => kind),
    [...kindNames],
  );
  assert.deepEqual(Object.keys(hazardous).sort(), [...kindNames].sort());
  for (const kind of kindNames) assert.match(page, new RegExp(`^### ${kind}$`, 'm'));
});

test('a denied kind ends the build, another one does not', async () => {
  const hazards = found(hazardous.registered![0]!);
  requireAllowed(hazards, ['constant']);
  const error = await provokes('review-denied', () => requireAllowed(hazards, readKinds('registered, constant')));
  assert.equal(error.exit, 4);
  assert.match(error.message, /1 hazard of a denied kind: registered in start/);
  assert.match(error.detail ?? '', /old_expire/);
  await provokes('usage', () => readKinds('registred'));
  assert.deepEqual(readKinds('all'), kindNames);
});

test('the host policy refuses denied kinds, and modules that were not reviewed', () => {
  const review = found(hazardous.registered![0]!);
  const rules = policyOf({ schema: 'kpatch.host-policy/1', hazards: { deny: ['registered'] } });
  assert.match(hazardProblem(manifestOf('x', { review }), rules.hazards.deny) ?? '', /registered in start/);
  assert.match(hazardProblem(manifestOf('x'), rules.hazards.deny) ?? '', /not reviewed/);
  assert.match(hazardProblem(undefined, ['all']) ?? '', /not reviewed/);
  assert.equal(hazardProblem(manifestOf('x', { review: [] }), ['all']), undefined);
  assert.equal(hazardProblem(manifestOf('x'), policyOf({ schema: 'kpatch.host-policy/1' }).hazards.deny), undefined);
});
