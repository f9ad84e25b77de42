/**
 * Cleanup of temporary folders, child processes and guests. Each registers a function that removes it. However the process
 * ends (return, error, Ctrl-C), the registered functions run, newest first. They are synchronous, so that they also work in
 * the `exit` handler.
 */
const removers = new Map<symbol, () => void>();
const interruption = new AbortController();
let installed = false;

/** Aborted when a signal ends the process; every long wait takes it. */
export const interrupted: AbortSignal = interruption.signal;

/** Registers `remove`; the returned function unregisters it (call it when the thing is removed or handed over). */
export function onExit(remove: () => void): () => void {
  install();
  const key = Symbol('remover');
  removers.set(key, remove);
  return () => void removers.delete(key);
}

/** Runs and unregisters all functions, newest first; an error in one does not stop the others. */
export function cleanUp(): void {
  for (const [key, remove] of [...removers].reverse()) {
    removers.delete(key);
    try {
      remove();
    } catch {
      // The process is ending, so go on with the next one.
    }
  }
}

/** Exit status by shell convention: 128 plus the number of the signal. */
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

function install(): void {
  if (installed) return;
  installed = true;
  process.on('exit', cleanUp);
  for (const [name, status] of Object.entries(signals)) {
    process.on(name, () => {
      interruption.abort(name);
      cleanUp();
      process.stderr.write(`\nkpatch: interrupted by ${name}; cleaned up\n`);
      process.exit(status);
    });
  }
}
