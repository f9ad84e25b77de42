/** Random numbers that a seed reproduces. */

export interface Random {
  /** From 0 up to 1. */
  next(): number;
  poisson(mean: number): number;
  binomial(tries: number, chance: number): number;
}

/** Mulberry32, which is enough for simulations. */
export function random(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const poisson = (mean: number): number => {
    if (mean > 60) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal()));
    let count = 0;
    for (let product = 1 - next(); product > Math.exp(-mean); count++) product *= 1 - next();
    return count;
  };
  const binomial = (tries: number, chance: number): number => {
    const mean = tries * chance;
    if (tries <= 40) return Array.from({ length: tries }).filter(() => next() < chance).length;
    if (mean < 20) return Math.min(tries, poisson(mean));
    if (tries - mean < 20) return Math.max(0, tries - poisson(tries - mean));
    return Math.min(tries, Math.max(0, Math.round(mean + Math.sqrt(mean * (1 - chance)) * normal())));
  };
  return { next, poisson, binomial };
}
