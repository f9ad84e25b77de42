/** A process of its own that prepares one kernel; says when it has begun. */
import { prepareKernel } from '../../src/kernel/kernel.ts';
import { consoleReporter } from '../../src/util/report.ts';

process.stdout.write('begun\n');
await prepareKernel(process.argv[2], { report: consoleReporter(process.stdout) });
