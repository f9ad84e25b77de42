/** The one executable: bundled by esbuild, put into the pinned Node by `node --build-sea`. */
import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { build, type Plugin, transformSync } from 'esbuild';
import { runOk } from '#kpatch/base/run.ts';
import { authorHeaders } from '#kpatch/source/author-header-files.ts';

export const root = join(import.meta.dirname, '..', '..');
export const node = join(root, 'node_modules/node/bin/node');

const wasm = 'iced_x86_bg.wasm';
const decoder = createRequire(import.meta.url).resolve('iced-x86');

/**
 * The decoder of instructions is a fifth of all code, and only the differ needs it. Its code and its WebAssembly, which it reads from
 * beside itself, are parts of the executable that are read when they are needed. In the bundle they would be read at each start.
 */
const wasmAsset: Plugin = {
  name: 'wasm-asset',
  setup({ onLoad }) {
    onLoad({ filter: /iced_x86\.js$/ }, () => {
      const contents = `new Function('exports', 'require', 'module', '__dirname', require('node:sea').getAsset('${basename(decoder)}', 'utf8'))(exports, require, module, __kpatchFolder);`;
      return { contents, loader: 'js' };
    });
    // As for the libraries below.
    onLoad({ filter: /platform\/records\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const contents = source.replace('const require = createRequire(import.meta.url);', '');
      if (contents === source) throw new Error(`${path} loads the machines in another way now`);
      return { contents, loader: 'ts' };
    });
    // esbuild follows `require(...)`, not a require that was made at run time.
    for (const [filter, library] of [
      [/x86_64\/decoder\.ts$/, 'iced-x86'],
      [/formats\/asn1\.ts$/, 'asn1js'],
      [/base\/errors\/catalogue\.ts$/, './entries/all.ts'],
    ] as const) {
      onLoad({ filter }, ({ path }) => {
        const made = `createRequire(import.meta.url)('${library}')`;
        const source = readFileSync(path, 'utf8');
        if (!source.includes(made)) throw new Error(`${path} loads ${library} in another way now`);
        return { contents: source.replace(made, `require('${library}')`), loader: 'ts' };
      });
    }
  },
};

/** The code of the decoder, which reads its WebAssembly from the executable. */
export function decoderSource(): string {
  const reading = "const bytes = require('fs').readFileSync(path);";
  const source = readFileSync(decoder, 'utf8');
  if (!source.includes(reading)) throw new Error('iced-x86 reads its WebAssembly in another way now');
  const asset = source.replace(reading, `const bytes = new Uint8Array(require('node:sea').getRawAsset('${wasm}'));`);
  return transformSync(asset, { minifyWhitespace: true, minifySyntax: true, legalComments: 'none' }).code;
}

/** The headers for patch authors are files beside the sources; in the bundle their texts are included. */
const inlineHeaders: Plugin = {
  name: 'inline-headers',
  setup({ onLoad }) {
    onLoad({ filter: /author-header-files\.ts$/ }, () => {
      const texts = JSON.stringify([...authorHeaders()]);
      return { contents: `export function authorHeaders() { return new Map(${texts}); }`, loader: 'ts' };
    });
  },
};

/**
 * Modules of Node that take long to load (child_process alone 4 ms, with net and dgram; crypto as much) are loaded where
 * one of their functions is first asked for: `kpatch list` and `kpatch status` ask for none.
 */
const lateBuiltins: Plugin = {
  name: 'late-builtins',
  setup({ onResolve, onLoad }) {
    const late = /^node:(child_process|crypto|os|readline|readline\/promises|stream\/promises|zlib)$/;
    onResolve({ filter: late }, ({ path }) => ({ path, namespace: 'late-builtin' }));
    onLoad({ filter: /./, namespace: 'late-builtin' }, ({ path }) => {
      const names = JSON.stringify(Object.keys(process.getBuiltinModule(path) ?? {}));
      const contents = `let real;
for (const name of ${names}) {
  Object.defineProperty(exports, name, { enumerable: true, get: () => (real ??= process.getBuiltinModule('${path}'))[name] });
}`;
      return { contents, loader: 'js' };
    });
  },
};

/** Bundles the program into one file; gives the paths of the files in it, relative to the checkout. */
export async function bundleInto(outfile: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [join(root, 'packaging/entry.ts')],
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node26',
    format: 'cjs',
    minifyWhitespace: true,
    minifySyntax: true,
    define: { 'import.meta.main': 'false', 'import.meta.url': '__kpatchUrl', 'import.meta.dirname': '__kpatchFolder' },
    banner: {
      js: "const __kpatchFolder = '/usr/share/kpatch/src', __kpatchUrl = 'file:///usr/share/kpatch/src/main.ts';",
    },
    plugins: [wasmAsset, inlineHeaders, lateBuiltins],
    outfile,
    logLevel: 'error',
    legalComments: 'none',
    metafile: true,
  });
  // One character beyond ASCII makes V8 keep all of the text with two bytes a character.
  const foreign = /[^\x00-\x7f]/.exec(readFileSync(outfile, 'utf8'));
  if (foreign !== null)
    throw new Error(`the bundle holds ${foreign[0]}: tagged templates take such characters from a string`);
  return Object.keys(metafile.inputs);
}

/** What `buildExecutable` must know of the machine; see target.ts. */
interface ExecutableTarget {
  readonly node: string;
  readonly strip: string;
  readonly isHere: boolean;
}

const here: ExecutableTarget = { node, strip: 'strip', isHere: true };

/** Builds `kpatch` into `folder`; gives its path and the files in it. The same sources give the same bytes. */
export async function buildExecutable(
  folder: string,
  target = here,
): Promise<{ readonly path: string; readonly bundled: string[] }> {
  mkdirSync(folder, { recursive: true });
  const bundle = join(folder, 'kpatch.cjs');
  const bundled = await bundleInto(bundle);
  // Symbols of Node are for debugging Node: without them the executable is a fifth smaller.
  const bare = join(folder, 'node');
  copyFileSync(target.node, bare);
  await runOk(target.strip, ['--strip-all', bare]);
  const library = join(folder, basename(decoder));
  writeFileSync(library, decoderSource());
  const config = join(folder, 'sea.json');
  const made = join(folder, 'kpatch.made');
  const settings = {
    main: bundle,
    output: made,
    executable: bare,
    disableExperimentalSEAWarning: true,
    useCodeCache: target.isHere,
    assets: { [wasm]: join(dirname(decoder), wasm), [basename(decoder)]: library },
    // A configuration of OpenSSL can load code; under sudo -E it would be that of the user.
    execArgv: ['--disable-warning=ExperimentalWarning', '--openssl-config=/dev/null', '--max-semi-space-size=8'],
    execArgvExtension: 'none',
  };
  writeFileSync(config, JSON.stringify(settings));
  await runOk(node, ['--build-sea', config], { timeoutMs: 300_000 });
  const executable = join(folder, 'kpatch');
  renameSync(made, executable);
  return { path: executable, bundled };
}
