/**
 * The list of all files of a prepared kernel is compared with the one that was made when it was complete. That takes as long as
 * compiling a file, so it runs beside the build; the result of the build counts only if no file has changed.
 */

/** Takes the running inspection, see `PrepareKernelOptions.defer`. */
export type Defer = (changed: Promise<string | undefined>) => void;

/**
 * Runs an attempt while the kernel is inspected. If a file of the kernel was changed, its result or error is discarded, and it
 * runs again without `defer`: the kernel is then inspected, and prepared again, before anything else.
 */
export async function onIntactKernel<T>(attempt: (defer: Defer | undefined) => Promise<T>): Promise<T> {
  let changed: Promise<string | undefined> = Promise.resolve(undefined);
  const defer: Defer = (running) => {
    changed = running;
    // It is awaited below; until then, an error of the inspection is not unhandled.
    running.catch(() => {});
  };
  let outcome: () => T;
  try {
    const result = await attempt(defer);
    outcome = () => result;
  } catch (error) {
    outcome = () => {
      throw error;
    };
  }
  return (await changed) === undefined ? outcome() : await attempt(undefined);
}
