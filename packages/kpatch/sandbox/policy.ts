/**
 * Whether programs that handle foreign data run in a sandbox. They do, unless the user said `--no-sandbox`: one decision for
 * the whole process, made before anything runs.
 */
let on = true;

/** Decides for this process. */
export function useSandbox(wanted: boolean): void {
  on = wanted;
}

/** False after `--no-sandbox`. */
export function isSandboxed(): boolean {
  return on;
}
