/** All steps by name. Each can run again at any time: it reads what is stored and stores the same result. */
import { buildModule } from './build.ts';
import type { Factory, Job } from './factory.ts';
import { ingest } from './ingest.ts';
import { proveModule } from './prove.ts';
import { publishModule } from './publish.ts';
import { reviewSeries } from './review.ts';
import { seriesOf } from './series.ts';
import { triageKernel } from './triage.ts';

/** Runs one step; the jobs that follow it. Errors of feeds, repositories and kernels are thrown, and the queue tries again. */
export async function runStep(factory: Factory, { step, kernel }: Job): Promise<Job[]> {
  switch (step) {
    case 'ingest':
      return await ingest(factory);
    case 'triage':
      return await triageKernel(factory, kernel);
    case 'series':
      return await seriesOf(factory, kernel);
    case 'review':
      return await reviewSeries(factory, kernel);
    case 'build':
      return await buildModule(factory, kernel);
    case 'prove':
      return await proveModule(factory, kernel);
    case 'publish':
      return await publishModule(factory, kernel);
  }
}
