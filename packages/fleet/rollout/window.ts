/** Maintenance windows: times of the week, in a time zone, in which hosts may change their live patch. */

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof weekdays)[number];

export interface Window {
  /** The days on which it begins. */
  readonly days: readonly Weekday[];
  /** Wall clock, `HH:MM`. A window that ends before or when it begins ends on the next day. */
  readonly from: string;
  readonly to: string;
  /** An IANA name such as Europe/Berlin. */
  readonly zone: string;
}

/** True if `zone` is a time zone that this program knows. */
export function isZone(zone: string): boolean {
  try {
    Temporal.Now.zonedDateTimeISO(zone);
    return true;
  } catch {
    return false;
  }
}

interface Span {
  /** Milliseconds since 1970; `to` is not part of it. */
  readonly from: number;
  readonly to: number;
}

/**
 * The windows that begin on days around `now`. A wall-clock time that daylight saving skips is taken after the gap, one that occurs
 * twice the first time, so a window is never lost.
 */
function spans({ days, from, to, zone }: Window, now: number): Span[] {
  const today = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(zone).toPlainDate();
  const at = (day: Temporal.PlainDate, time: string): number =>
    day.toZonedDateTime({ timeZone: zone, plainTime: Temporal.PlainTime.from(time) }).epochMilliseconds;
  return [-1, 0, 1, 2, 3, 4, 5, 6, 7].flatMap((offset) => {
    const day = today.add({ days: offset });
    if (!days.includes(weekdays[day.dayOfWeek - 1]!)) return [];
    return [{ from: at(day, from), to: at(to > from ? day : day.add({ days: 1 }), to) }];
  });
}

/** True if one of the windows is open; a ring without windows is always open. */
export function isOpen(windows: readonly Window[], now: number): boolean {
  return windows.length === 0 || windows.some((one) => spans(one, now).some(({ from, to }) => from <= now && now < to));
}

/** When one of the windows opens next, in milliseconds; undefined if none does. */
export function nextOpening(windows: readonly Window[], now: number): number | undefined {
  const later = windows.flatMap((one) => spans(one, now)).flatMap(({ from }) => (from > now ? [from] : []));
  return later.length === 0 ? undefined : Math.min(...later);
}
