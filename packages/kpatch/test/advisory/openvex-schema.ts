/** Every constraint that the JSON Schema of OpenVEX 0.2.0 (openvex/spec, openvex_json_schema.json) puts on a document. */

const uri = { type: 'string', pattern: '^[A-Za-z][A-Za-z0-9+.-]*:[^\\s]+$' };
const dateTime = {
  type: 'string',
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(?:\\.\\d+)?(?:Z|[+-]\\d{2}:\\d{2})$',
};
const text = { type: 'string' };

function closed(properties: Readonly<Record<string, object>>, required: readonly string[] = []): object {
  return { type: 'object', additionalProperties: false, properties, required };
}

const component = closed({ '@id': uri, identifiers: { type: 'object' }, hashes: { type: 'object' } });
const is = (status: string): object => ({ properties: { status: { const: status } } });

const statement = {
  ...closed(
    {
      '@id': uri,
      version: { type: 'integer', minimum: 1 },
      vulnerability: closed({ '@id': uri, name: text, description: text, aliases: { type: 'array', items: text } }, [
        'name',
      ]),
      timestamp: dateTime,
      last_updated: dateTime,
      products: { type: 'array', uniqueItems: true, items: component },
      status: { enum: ['not_affected', 'affected', 'fixed', 'under_investigation'] },
      supplier: text,
      status_notes: text,
      justification: {
        enum: [
          'component_not_present',
          'vulnerable_code_not_present',
          'vulnerable_code_not_in_execute_path',
          'vulnerable_code_cannot_be_controlled_by_adversary',
          'inline_mitigations_already_exist',
        ],
      },
      impact_statement: text,
      action_statement: text,
      action_statement_timestamp: dateTime,
    },
    ['vulnerability', 'status'],
  ),
  allOf: [
    {
      if: is('not_affected'),
      // One of the two, never both.
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { oneOf: [{ required: ['justification'] }, { required: ['impact_statement'] }] },
    },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    { if: is('affected'), then: { required: ['action_statement'] } },
  ],
};

export const openVexSchema = closed(
  {
    '@context': uri,
    '@id': uri,
    author: text,
    role: text,
    timestamp: dateTime,
    last_updated: dateTime,
    version: { type: 'integer', minimum: 1 },
    tooling: text,
    statements: { type: 'array', minItems: 1, uniqueItems: true, items: statement },
  },
  ['@context', '@id', 'author', 'timestamp', 'version', 'statements'],
);
