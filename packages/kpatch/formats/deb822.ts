/** The control format of Debian packages, as `apt-cache show` prints it (deb822(5)). */

export type Stanza = Readonly<Record<string, string>>;

/** Parses paragraphs; continuation lines are joined with newlines, field names are kept as written. */
export function parseStanzas(text: string): Stanza[] {
  const stanzas: Stanza[] = [];
  for (const paragraph of text.split(/\n[ \t]*\n/)) {
    const fields: Record<string, string> = Object.create(null) as Record<string, string>;
    let last: string | undefined;
    for (const line of paragraph.split('\n')) {
      const match = /^([A-Za-z0-9-]+):[ \t]*(.*)$/.exec(line);
      if (match !== null) {
        last = match[1]!;
        fields[last] = match[2]!;
      } else if (last !== undefined && /^[ \t]/.test(line)) fields[last] += `\n${line.slice(1)}`;
    }
    if (last !== undefined) stanzas.push(fields);
  }
  return stanzas;
}

export interface Dependency {
  readonly name: string;
  /** `=`, `>=` … with its version; undefined if any version will do. */
  readonly version: string | undefined;
  readonly relation: string | undefined;
}

/** The first alternative of each entry of a Depends or Built-Using field. */
export function parseDependencies(field: string | undefined): Dependency[] {
  return (field ?? '')
    .split(',')
    .map((entry) => /^\s*([a-z0-9][a-z0-9+.-]*)(?::\w+)?\s*(?:\(\s*([<>=]+)\s*([^)\s]+)\s*\))?/.exec(entry))
    .filter((match) => match !== null)
    .map(([, name, relation, version]) => ({ name: name!, relation, version }));
}
