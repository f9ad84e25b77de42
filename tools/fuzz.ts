/** `make fuzz`: the long form of the fuzz test. Arguments: number of mutations, seed. */
import { type FuzzReport, fuzz } from '../packages/kpatch/test/differ/fuzz.ts';
import { fuzzBases, largeBase } from '../packages/kpatch/test/differ/fuzz-bases.ts';

const count = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? 1);
const bases = fuzzBases();
const large = largeBase();
const few = Math.ceil(count / 1000);
const start = performance.now();
const report = fuzz(bases, count - few, seed);
const ofLarge = fuzz([large], few, seed);
const seconds = ((performance.now() - start) / 1000).toFixed(0);
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const told = ({ runs, changed, unchanged, errors, slowest, largest }: FuzzReport): string =>
  `${runs} mutated objects: ${changed} changed, ${unchanged} unchanged, ${errors} errors of the catalogue; ` +
  `slowest ${slowest.toFixed(0)} ms, most memory ${mib(largest)}`;
console.log(`of ${bases.length} objects of five architectures: ${told(report)}`);
console.log(`of one object of ${mib(large.length)}: ${told(ofLarge)}`);
console.log(`all in ${seconds} s`);
