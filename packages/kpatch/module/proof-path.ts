/** Where the proof of a module file lies. By itself, for commands that only look need nothing else of a proof. */
export function proofPath(module: string): string {
  return `${module.replace(/\.ko$/, '')}.proof.json`;
}
