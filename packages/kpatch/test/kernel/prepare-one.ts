/** A process of its own that prepares one kernel; says when it has begun. */

import { consoleReporter } from '#kpatch/base/report.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';

process.stdout.write('begun\n');
await prepareKernel(process.argv[2], { report: consoleReporter(process.stdout), localCompiler: true });
