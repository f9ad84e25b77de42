/**
 * What must not stay behind: temporary folders, child processes, guests. A thing that exists registers how it is removed;
 * whatever way the process ends (return, error, Ctrl-C), what is still registered is removed, newest first.
 * The removers are synchronous, so that they also run in the `exit` handler.
 */
const removers = new Map<symbol, () => void>();
const interruption = new AbortController();
let installed = false;

/** Aborted when the process is told to end; every long wait takes it. */
export const interrupted: AbortSignal = interruption.signal;

/** Registers `remove`; the returned function takes it back (call it when the thing is gone or handed over). */
export function onExit(remove: () => void): () => void {
  install();
  const key = Symbol('remover');
  removers.set(key, remove);
  return () => void removers.delete(key);
}

/** Runs and forgets all removers, newest first; errors of one do not keep the others from running. */
export function cleanUp(): void {
  for (const [key, remove] of [...removers].reverse()) {
    removers.delete(key);
    try {
      remove();
    } catch {
      // The process is ending: the next remover matters more than this one's complaint.
    }
  }
}

/** Exit status by shell convention: 128 + number of the signal. */
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

function install(): void {
  if (installed) return;
  installed = true;
  process.on('exit', cleanUp);
  for (const [name, status] of Object.entries(signals)) {
    process.on(name, () => {
      interruption.abort(name);
      cleanUp();
      process.stderr.write(`\nkpatch: interrupted by ${name}; nothing is left behind\n`);
      process.exit(status);
    });
  }
}
