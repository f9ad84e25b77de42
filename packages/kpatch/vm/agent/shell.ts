/** An interactive shell in a guest, on its console. */
import type { ReadStream, WriteStream } from 'node:tty';
import type { Emulator } from '../../platform/common/emulator.ts';
import type { Guest } from '../guest.ts';

/** Ctrl-] cuts the guest's power, as it ends a telnet session: a kernel that hangs reads no input. */
const ESCAPE = 0x1d;

/** A person may take as long as they like: three days, which a timer can count even when it is stretched sixfold. */
const DAYS_MS = 3 * 86_400_000;

export interface ShellTerminal {
  readonly input: ReadStream;
  readonly output: WriteStream;
}

/**
 * Connects a terminal of this machine with a login shell in the guest until the shell ends; gives its status. `folder` is
 * where the shell starts. Errors: as `Guest.run`; `guest-ended` after Ctrl-].
 */
export async function guestShell(
  guest: Guest,
  { console: device }: Emulator,
  { input, output }: ShellTerminal,
  folder: string,
): Promise<number> {
  const port = `/dev/${device.split(',')[0]}`;
  const { rows = 24, columns = 80 } = output;
  const onInput = (bytes: Buffer): void => {
    if (bytes.includes(ESCAPE)) guest.kill();
    else guest.terminal.write(bytes);
  };
  const onOutput = (bytes: Buffer): void => void output.write(bytes);
  guest.terminal.on('data', onOutput);
  input.setRawMode(true);
  input.on('data', onInput);
  input.resume();
  try {
    const { status } = await guest.run(
      `stty -F ${port} sane rows ${rows} cols ${columns}
export TERM='${/^[\w.+-]+$/.test(process.env.TERM ?? '') ? process.env.TERM : 'vt102'}' PS1='guest# '
cd ${folder} && exec setsid -c sh -i <${port} >${port} 2>&1`,
      { step: 'shell', deadlineMs: DAYS_MS },
    );
    return status;
  } finally {
    input.off('data', onInput);
    input.setRawMode(false);
    input.pause();
    guest.terminal.off('data', onOutput);
  }
}
