/** When the server looks at its rollouts: every minute, and soon after a report says something that may decide. */

/** Without news (milliseconds). */
const LOOK_MS = 60_000;
/** After news: long enough that what many hosts report at once is one look. */
const SOON_MS = 2000;
/** Looks take at most this part of the time of a large fleet. */
const SHARE = 20;

export class Watch {
  readonly #look: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #isSoon = false;
  #looking: Promise<void> = Promise.resolve();
  #took = 0;
  #isStopped = false;

  constructor(look: () => Promise<void>) {
    this.#look = look;
    this.#wait(LOOK_MS);
  }

  /** A host crashed, could not load a patch, or runs another one: a rollout may have to halt, or may go on. */
  soon(): void {
    if (this.#isSoon) return;
    this.#isSoon = true;
    this.#wait(Math.min(LOOK_MS, Math.max(SOON_MS, SHARE * this.#took)));
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#turn(), ms);
  }

  #turn(): void {
    this.#isSoon = false;
    const begin = performance.now();
    // A database that cannot be reached is tried again at the next look.
    this.#looking = this.#look()
      .catch(() => {})
      .then(() => {
        this.#took = performance.now() - begin;
        if (!this.#isSoon) this.#wait(LOOK_MS);
      });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }
}
