/** A machine whose clock is wrong. */
import { mock } from 'node:test';

/** Does something while the clock of this process stands at a time; programs that it starts have the real one. */
export async function atClock<T>(now: number, work: () => Promise<T>): Promise<T> {
  mock.timers.enable({ apis: ['Date'], now });
  try {
    return await work();
  } finally {
    mock.timers.reset();
  }
}
