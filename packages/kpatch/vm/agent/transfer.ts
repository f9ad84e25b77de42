/** Files to and from a guest through its agent, as base64 in short scripts: for small files. */
import { failure } from '../../base/errors/error.ts';
import { OUTPUT_LIMIT, SCRIPT_LIMIT } from './channel.ts';
import { readable } from './console.ts';

/** Runs a script in the guest; `step` is what an error calls it. */
export type Exchange = (script: string, step: string) => Promise<{ status: number; output: Buffer }>;

/** Writes a file in the guest, with its folders. Error: `guest-step-failed`. */
export async function writeFile(exchange: Exchange, path: string, bytes: Buffer, mode = 0o644): Promise<void> {
  const name = quote(path);
  const send = (script: string): Promise<Buffer> => outputOf(exchange, script, `write ${path}`);
  await send(`mkdir -p "$(dirname ${name})" && : >${name} && chmod ${mode.toString(8)} ${name}`);
  const piece = Math.floor((SCRIPT_LIMIT - 1000) / 4) * 3;
  for (let at = 0; at < bytes.length; at += piece) {
    const text = bytes
      .subarray(at, at + piece)
      .toString('base64')
      .replace(/.{1,76}/g, '$&\n');
    await send(`base64 -d >>${name} <<'EOF'\n${text}EOF\n`);
  }
}

/** Reads a file of the guest. Error: `guest-step-failed`. */
export async function readFile(exchange: Exchange, path: string): Promise<Buffer> {
  const name = quote(path);
  const piece = OUTPUT_LIMIT / 4;
  const pieces: Buffer[] = [];
  do {
    // The status of a pipe is that of its last command, so whether the file can be read is asked first.
    const from = pieces.length * piece + 1;
    const script = `head -c 0 ${name} || exit 1; tail -c +${from} ${name} | head -c ${piece} | base64`;
    const output = await outputOf(exchange, script, `read ${path}`);
    pieces.push(Buffer.from(output.toString('latin1'), 'base64'));
  } while (pieces.at(-1)!.length === piece);
  return Buffer.concat(pieces);
}

async function outputOf(exchange: Exchange, script: string, step: string): Promise<Buffer> {
  const { status, output } = await exchange(script, step);
  if (status !== 0) throw failure('guest-step-failed', { step, status }, { detail: readable(output) });
  return output;
}

function quote(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}
