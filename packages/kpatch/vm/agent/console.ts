/** What a guest prints: kept within bounds whatever it is, made fit to show, watched for a kernel panic. */

/** Keeps the first and the last part of a stream of any length. */
export class BoundedBytes {
  readonly #head: Buffer[] = [];
  #headRoom: number;
  readonly #tail: Buffer[] = [];
  #tailLength = 0;
  readonly #limit: number;
  /** Bytes seen so far, kept or not. */
  total = 0;

  /** `limit` is the number of bytes kept, a quarter of it from the start of the stream. */
  constructor(limit: number) {
    this.#headRoom = Math.floor(limit / 4);
    this.#limit = limit - this.#headRoom;
  }

  add(chunk: Uint8Array): void {
    this.total += chunk.length;
    const first = Buffer.from(chunk.subarray(0, this.#headRoom));
    if (first.length > 0) {
      this.#head.push(first);
      this.#headRoom -= first.length;
    }
    const rest = Buffer.from(chunk.subarray(first.length));
    if (rest.length === 0) return;
    this.#tail.push(rest);
    this.#tailLength += rest.length;
    while (this.#tailLength > this.#limit) {
      const oldest = this.#tail[0]!;
      const surplus = this.#tailLength - this.#limit;
      if (oldest.length <= surplus) this.#tail.shift();
      else this.#tail[0] = oldest.subarray(surplus);
      this.#tailLength -= Math.min(surplus, oldest.length);
    }
  }

  /** What is kept; a note stands where bytes were left out. */
  bytes(): Buffer {
    const head = Buffer.concat(this.#head);
    const omitted = this.total - head.length - this.#tailLength;
    const note = omitted === 0 ? [] : [Buffer.from(`\n[... ${omitted} bytes omitted ...]\n`)];
    return Buffer.concat([head, ...note, ...this.#tail]);
  }
}

/**
 * A guest's bytes as text for people: no escape sequences, no control characters but tab and newline, invalid UTF-8
 * replaced, lines of at most 1,000 characters.
 */
export function readable(bytes: Uint8Array): string {
  return (
    Buffer.from(bytes)
      .toString('utf8')
      // ECMA-48: CSI sequences, OSC strings, two-character escapes.
      .replace(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|\x1b[@-Z\\-_c]/g, '')
      .replace(/\r+\n/g, '\n')
      .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]/g, '\ufffd')
      .replace(/\ufffd{4,}/g, '\ufffd\ufffd\ufffd')
      .replace(/[^\n]{1000}(?=[^\n])/g, '$&\n')
  );
}

/** A guest's console. */
export class Console {
  readonly #kept = new BoundedBytes(512 * 1024);
  readonly #onLine: ((line: string) => void) | undefined;
  #partial = Buffer.alloc(0);
  /** The kernel's own words once it has panicked. */
  panic: string | undefined;

  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(chunk: Buffer): void {
    this.#kept.add(chunk);
    let rest = Buffer.concat([this.#partial, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      this.#line(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
    }
    // Split an endless line into pieces, so that it cannot grow without bound.
    if (rest.length > 4096) {
      this.#line(rest);
      rest = Buffer.alloc(0);
    }
    this.#partial = Buffer.from(rest);
  }

  /** Adds what a resumed guest had printed before it was saved (not reported). */
  recall(text: string): void {
    this.#kept.add(Buffer.from(text));
  }

  #line(bytes: Buffer): void {
    const line = readable(bytes.subarray(0, 4096)).replace(/\ufffd+$/, '');
    // kernel/panic.c prints this prefix in every version.
    const panic = /Kernel panic - not syncing: ?(.*)/.exec(line);
    if (panic !== null) this.panic ??= panic[1] ?? '';
    this.#onLine?.(line);
  }

  get empty(): boolean {
    return this.#kept.total === 0;
  }

  /** Everything that is kept (at most 512 KiB: the start and the end), as readable text. */
  get text(): string {
    return readable(this.#kept.bytes());
  }

  /** The last lines, for an error message. */
  tail(lines: number): string {
    return this.text.trimEnd().split('\n').slice(-lines).join('\n');
  }
}
