/** A JSON document written as a stream: `{"schema", "events": [one per line], …members}`. */
import { KpatchError } from '../../base/errors/error.ts';
import { jsonText } from '../../base/print.ts';

export interface JsonStream {
  /** True after the first write. */
  readonly begun: boolean;
  readonly event: (event: object) => void;
  /** Ends the document with more members. */
  end(members: object): void;
  /** Ends the document with the member `error` and sets the exit status. */
  endWithError(error: unknown): void;
}

export function jsonStream(schema: string, stream: NodeJS.WritableStream): JsonStream {
  let count = 0;
  // A reader that closes the pipe ends the command and everything it started.
  stream.on('error', () => process.exit(1));
  const begin = (): string => (count === 0 ? `{"schema":${jsonText(schema)},"events":[` : '');
  const close = (members: object): void => {
    const rest = Object.entries(members).map(([name, value]) => `,${jsonText(name)}:${jsonText(value)}`);
    stream.write(`${begin()}\n]${rest.join('\n')}}\n`);
  };
  return {
    get begun() {
      return count > 0;
    },
    event(event) {
      stream.write(`${begin()}${count === 0 ? '' : ','}\n${jsonText(event)}`);
      count++;
    },
    end: close,
    endWithError(error) {
      const known = error instanceof KpatchError;
      process.exitCode = known ? error.exit : 1;
      close({
        warnings: [],
        error: known ? error : { code: 'internal', what: error instanceof Error ? error.message : String(error) },
      });
    },
  };
}
