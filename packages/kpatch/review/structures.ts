/** The structures that a file defines, as far as the review reads them. */

/** Members at the outer level with their types, by structure. */
export function structuresOf(text: string): Map<string, Map<string, string>> {
  const found = new Map<string, Map<string, string>>();
  for (const [, name, short, long] of text.matchAll(/^struct\s+(\w+)\s*\{(?:([^{}\n]*)\}|([\s\S]*?)^\})/gm)) {
    const members = new Map<string, string>();
    for (const line of outerLevel(short ?? long!).split(';')) {
      const [, type, member] = /^\s*([\w\s]+?[\s*]+)(\w+)(?:\s*\[[^\]]*\])?\s*$/.exec(line) ?? [];
      if (type !== undefined) members.set(member!, type.replace(/\s+/g, ' ').trim());
    }
    found.set(name!, members);
  }
  return found;
}

/** Without comments, conditions of the preprocessor and what is inside of other structures. */
function outerLevel(body: string): string {
  let text = body.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|^[ \t]*#.*$/gm, '');
  for (let before = ''; before !== text; ) {
    before = text;
    text = text.replace(/\b(?:struct|union)(?:\s+\w+)?\s*\{[^{}]*\}[^;{}]*/g, '');
  }
  return text;
}
