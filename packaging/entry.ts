/** Where the packaged executable begins: the program `kpatch`, without a file name of its own among its arguments. */
import { main } from '../src/cli/main.ts';

void main(process.argv.slice(2));
