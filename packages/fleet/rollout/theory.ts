/** What a sequential test needs at least: Wald's probability ratio test of two rates that are both known. */

/**
 * The expected host-days until a test with this error halts, if the rate is `bad` and the usual rate `usual` (events per host-day).
 * Computed exactly for the discrete events, by following the probability of each number of events in small steps.
 */
export function waldHostDays(usual: number, bad: number, error: number): number {
  const gain = Math.log(bad / usual);
  const loss = bad - usual;
  const limit = -Math.log(error);
  // Not halted with k events at t: k gain - loss t < limit.
  const step = 0.002 / bad;
  let chances = [1];
  let expected = 0;
  for (let t = 0; ; t += step) {
    const alive = chances.reduce((sum, one) => sum + one, 0);
    if (alive < 1e-6) return expected;
    expected += alive * step;
    const next = new Array<number>(chances.length + 1).fill(0);
    chances.forEach((chance, k) => {
      next[k]! += chance * (1 - bad * step);
      if ((k + 1) * gain - loss * (t + step) < limit) next[k + 1]! += chance * bad * step;
    });
    while (next.at(-1)! < 1e-15 && next.length > 1) next.pop();
    chances = next;
  }
}
