/** Rings as a person writes them: `kpatch-fleet rollout create --plan FILE` (docs/rollouts.md). */
import { failure } from 'kpatch/parts';
import * as v from 'valibot';
import type { RingPlan } from './ring.ts';
import { weekdays } from './window.ts';

const short = v.pipe(v.string(), v.minLength(1), v.maxLength(64));
const clock = v.pipe(v.string(), v.regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time such as 22:00'));
const hours = v.pipe(v.number(), v.minValue(0), v.maxValue(24 * 90));

const schema = v.strictObject({
  schema: v.literal('kpatch.fleet-plan/1'),
  rings: v.pipe(
    v.array(
      v.strictObject({
        name: short,
        labels: v.optional(v.array(short), []),
        share: v.optional(v.number()),
        soakHours: v.optional(hours, 24),
        hostHours: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1e9))),
        windows: v.optional(
          v.array(
            v.strictObject({
              days: v.optional(v.array(v.picklist(weekdays)), [...weekdays]),
              from: clock,
              to: clock,
              zone: v.optional(short, 'UTC'),
            }),
          ),
          [],
        ),
      }),
    ),
    v.minLength(1),
  ),
  watchHours: v.optional(hours),
});

/** For docs/json.md. */
export const planDocument = {
  name: 'kpatch.fleet-plan/1',
  title: 'The rings of a rollout.',
  origin: { kind: 'given', to: '`kpatch-fleet rollout create --plan`' },
  schema,
} as const;

export interface Plan {
  readonly rings: readonly RingPlan[];
  readonly watchSeconds: number | undefined;
}

/** Reads a plan. Error: `fleet-rollout`, with the place in the plan. */
export function parsePlan(text: string, name: string): Plan {
  const bad = (problem: string): Error => failure('fleet-rollout', { action: `use the plan ${name}`, problem });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw bad((error as Error).message);
  }
  const read = v.safeParse(schema, document);
  if (!read.success) throw bad(`${v.getDotPath(read.issues[0]) ?? 'the document'}: ${read.issues[0].message}`);
  const { rings, watchHours } = read.output;
  return {
    rings: rings.map(({ soakHours, share, hostHours, ...ring }) => ({
      ...ring,
      share,
      soakSeconds: soakHours * 3600,
      ...(hostHours === undefined ? {} : { hostHours }),
    })),
    watchSeconds: watchHours === undefined ? undefined : watchHours * 3600,
  };
}
