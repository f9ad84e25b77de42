/**
 * Where the packaged executable begins: the program `kpatch`, or, called by a link of that name, one of the programs of
 * dynup/kpatch that it is in for.
 */
import { basename } from 'node:path';
import { main } from '#kpatch/cli/main.ts';

type Program = (argv: readonly string[]) => Promise<number> | number;

const others: Readonly<Record<string, () => Promise<Program>>> = {
  'kpatch-build': async () => {
    const { kpatchBuild } = await import('#kpatch/compat/kpatch-build.ts');
    return (argv) => kpatchBuild(argv, process.env);
  },
  'create-diff-object': async () => {
    const { createDiffObject } = await import('#kpatch/compat/create-diff-object.ts');
    return (argv) => createDiffObject(argv, process.env);
  },
  'create-klp-module': async () => {
    const { createKlpModule } = await import('#kpatch/compat/create-klp-module.ts');
    return (argv) => createKlpModule(argv, process.env);
  },
};

async function start(): Promise<void> {
  const argv = process.argv.slice(2);
  const other = others[basename(process.argv0)];
  if (other === undefined) await main(argv);
  else process.exitCode = await (await other())(argv);
}

void start();
