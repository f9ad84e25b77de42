/** The vermagic of the running kernel: no interface tells it, but each of the kernel's own modules carries it. */
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { run } from '../../base/run.ts';
import type { Machine } from './machine.ts';

/** Asks modinfo(8) about the first module that modules.dep lists; `undefined` where there is none. Never throws. */
export async function kernelVermagic(machine: Machine, release: string): Promise<string | undefined> {
  const folder = join(machine.modules, release);
  const file = await firstModule(folder);
  if (file === undefined) return undefined;
  try {
    const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
    const { status, stdout } = await run('modinfo', ['-F', 'vermagic', file], { env: { PATH }, timeoutMs: 10_000 });
    const text = stdout.toString().trim();
    return status === 0 && text !== '' ? text : undefined;
  } catch {
    return undefined;
  }
}

async function firstModule(folder: string): Promise<string | undefined> {
  const list = join(folder, 'modules.dep');
  if (!existsSync(list)) return undefined;
  const stream = createReadStream(list);
  try {
    for await (const line of createInterface({ input: stream })) {
      const path = join(folder, line.slice(0, line.indexOf(':')));
      if (existsSync(path)) return path;
    }
  } catch {
    return undefined;
  } finally {
    stream.destroy();
  }
  return undefined;
}
