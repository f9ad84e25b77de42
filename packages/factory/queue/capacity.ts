/** How many jobs a worker does at once: as many as its processors and its memory are enough for. */
import { availableParallelism } from 'node:os';
import type { StepName } from '../steps/factory.ts';

export interface Need {
  readonly cores: number;
  readonly mib: number;
}

/** What a machine has for jobs. */
export interface Budget {
  readonly cores: number;
  /** Memory that is available now, within the limit of the container. */
  readonly mib: () => number;
}

export const thisMachine: Budget = {
  cores: availableParallelism(),
  mib: () => Math.floor(process.availableMemory() / 2 ** 20),
};

/**
 * What a job of a step needs, measured on kernels of Debian 12: a build compiles with half of the processors and holds the object map
 * of the kernel, a proof has guests of 512 to 1,024 MiB, the full plan one for each processor.
 */
export function needOf(step: StepName, proof: 'none' | 'quick' | 'full', cores: number): Need {
  switch (step) {
    case 'build':
      return { cores: buildJobs(cores), mib: 2048 };
    case 'prove':
      return proof === 'full' ? { cores, mib: 512 + 1024 * cores } : { cores: 1, mib: 1536 };
    case 'triage':
    case 'series':
    case 'review':
      return { cores: 1, mib: 1024 };
    case 'ingest':
    case 'publish':
      return { cores: 1, mib: 512 };
  }
}

/** Compilers of one build at once, so that two kernels are built side by side. */
export const buildJobs = (cores: number): number => Math.max(1, Math.floor(cores / 2));

/** Admits jobs as long as the sum of their needs is within the budget; one job always fits. */
export class Capacity {
  readonly #budget: Budget;
  readonly #running = new Set<Need>();
  /** Measured while nothing ran: later the running jobs have taken a part of it. */
  #mib = 0;

  constructor(budget: Budget = thisMachine) {
    this.#budget = budget;
  }

  get cores(): number {
    return this.#budget.cores;
  }

  get running(): number {
    return this.#running.size;
  }

  fits(need: Need): boolean {
    if (this.#running.size === 0) {
      this.#mib = this.#budget.mib();
      return true;
    }
    const sum = (part: keyof Need): number => [...this.#running].reduce((total, one) => total + one[part], need[part]);
    return sum('cores') <= this.#budget.cores && sum('mib') <= this.#mib;
  }

  /** Takes what a job needs, until the result is disposed of. */
  take(need: Need): Disposable {
    const own = { ...need };
    this.#running.add(own);
    return { [Symbol.dispose]: () => void this.#running.delete(own) };
  }
}
