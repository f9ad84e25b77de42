/** `make fuzz`: the long form of the fuzz test. Arguments: number of mutations, seed. */
import { compile, gcc, gccPadded, optionsFor, prelude } from '../test/diff/fixture.ts';
import { fuzz } from '../test/diff/fuzz.ts';
import { sampleSource } from '../test/diff/sample.ts';

const count = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? 1);
const bases = [gcc, gccPadded].flatMap((toolchain) => [
  compile(toolchain, prelude + sampleSource()),
  compile(toolchain, prelude + sampleSource(1)),
  compile(toolchain, prelude + sampleSource(), ['-g']),
]);
const start = performance.now();
const report = fuzz(bases, optionsFor(bases[0]!), count, seed);
const seconds = ((performance.now() - start) / 1000).toFixed(0);
const largest = (report.largest / 2 ** 20).toFixed(1);
console.log(
  `${report.runs} mutated objects in ${seconds} s: ${report.changed} changed, ${report.unchanged} unchanged, ` +
    `${report.errors} errors of the catalogue; slowest ${report.slowest.toFixed(0)} ms, most memory ${largest} MiB`,
);
