/** The structures that a file defines, as far as the review reads them. */

/** Members with their types, by structure; structures that contain others are not read. */
export function structuresOf(text: string): Map<string, Map<string, string>> {
  const found = new Map<string, Map<string, string>>();
  for (const [, name, body] of text.matchAll(/^struct\s+(\w+)\s*\{([^{}]*)\}/gm)) {
    const members = new Map<string, string>();
    for (const line of body!.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '').split(';')) {
      const [, type, member] = /^\s*([\w\s]+?[\s*]+)(\w+)(?:\s*\[[^\]]*\])?\s*$/.exec(line) ?? [];
      if (type !== undefined) members.set(member!, type.replace(/\s+/g, ' ').trim());
    }
    found.set(name!, members);
  }
  return found;
}
