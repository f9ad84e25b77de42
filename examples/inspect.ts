/** Prints what a livepatch module replaces: `node examples/inspect.ts MODULE.ko`. An example of the library. */
import { KpatchError, readModule } from 'kpatch';

const [, , file = ''] = process.argv;
try {
  const { name, release, manifest } = readModule(file);
  console.log(`${name} for ${release}`);
  for (const { name: replaced, object } of manifest?.functions ?? []) console.log(`  ${replaced} (${object})`);
} catch (error) {
  if (!(error instanceof KpatchError)) throw error;
  console.error(`${error.message}\nfix: ${error.fix}`);
  process.exitCode = error.exit;
}
