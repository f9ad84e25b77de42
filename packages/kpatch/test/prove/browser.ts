/** A real headless Chromium, spoken to by the DevTools protocol: what a page looks like, logs, asks for. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

export interface Page {
  /** The value of a JavaScript expression in the page; promises are waited for. */
  evaluate<T>(expression: string): Promise<T>;
  send(method: string, parameters?: object): Promise<Record<string, unknown>>;
  /** Addresses that the page asked for. */
  readonly requests: string[];
  /** What it wrote to the console, and errors. */
  readonly messages: string[];
}

/** Opens a page for `look` and ends the browser afterwards. `width` in pixels. */
export async function withPage<T>(
  url: string,
  width: number,
  dark: boolean,
  look: (page: Page) => Promise<T>,
): Promise<T> {
  const profile = mkdtempSync(join(tmpdir(), 'kpatch-browser-'));
  // A browser that is spoken to through pipes ends when they close: it does not outlive a test that is killed.
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe', `--user-data-dir=${profile}`];
  const browser = spawn('chromium', args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'], detached: true });
  const ended = new Promise((resolve) => browser.once('exit', resolve));
  try {
    const connection = new Connection(browser);
    // A target of its own: the first one of the browser may not be there yet.
    const { targetId } = await connection.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await connection.send('Target.attachToTarget', { targetId, flatten: true });
    const page = connection.page(sessionId as string);
    for (const domain of ['Page', 'Network', 'Runtime', 'Log']) await page.send(`${domain}.enable`);
    await page.send('Emulation.setDeviceMetricsOverride', {
      width,
      height: 900,
      deviceScaleFactor: 1,
      mobile: width < 600,
    });
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
    await page.send('Emulation.setEmulatedMedia', { features });
    const { errorText } = await page.send('Page.navigate', { url });
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
    // The answer comes when the page is no longer the one before; events of loading could be those of that one.
    await page.evaluate(
      `new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))`,
    );
    return await look(page);
  } finally {
    process.kill(-browser.pid!, 'SIGKILL');
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: object;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** The pipes to a browser: JSON documents that end with a zero byte. */
class Connection {
  readonly #to: Writable;
  readonly #waiting = new Map<number, (answer: Message) => void>();
  #last = 0;
  /** Why the browser does not answer any more. */
  #end: string | undefined;
  onEvent: (event: Message) => void = () => {};

  constructor(browser: ChildProcess) {
    const [, , said, to, from] = browser.stdio as [null, null, Readable, Writable, Readable];
    this.#to = to;
    let text = '';
    said.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const end = (what: string): void => {
      this.#end ??= what;
      for (const answer of this.#waiting.values()) answer({ error: { message: this.#end } });
    };
    browser.once('error', (error) => end(error.message));
    browser.once('close', () => end(`chromium ended: ${text}`));
    to.on('error', () => {});
    let parts: Buffer[] = [];
    from.on('data', (chunk: Buffer) => {
      for (let rest = chunk; rest.length > 0; ) {
        const at = rest.indexOf(0);
        parts.push(at < 0 ? rest : rest.subarray(0, at));
        if (at < 0) return;
        this.#hear(JSON.parse(Buffer.concat(parts).toString()));
        parts = [];
        rest = rest.subarray(at + 1);
      }
    });
  }

  #hear(message: Message): void {
    if (message.id === undefined) this.onEvent(message);
    else this.#waiting.get(message.id)?.(message);
  }

  async send(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    if (this.#end !== undefined) throw new Error(this.#end);
    const id = ++this.#last;
    const answer = new Promise<Message>((resolve) => this.#waiting.set(id, resolve));
    this.#to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    const { error, result = {} } = await answer;
    this.#waiting.delete(id);
    if (error !== undefined) throw new Error(error.message);
    return result;
  }

  /** The page that this session is attached to. */
  page(session: string): Page {
    const requests: string[] = [];
    const messages: string[] = [];
    this.onEvent = ({ sessionId, method, params = {} }) => {
      if (sessionId !== session) return;
      if (method === 'Network.requestWillBeSent') requests.push((params as { request: { url: string } }).request.url);
      if (['Runtime.exceptionThrown', 'Runtime.consoleAPICalled', 'Log.entryAdded'].includes(method ?? ''))
        messages.push(JSON.stringify(params));
    };
    const send: Page['send'] = (method, params) => this.send(method, params, session);
    return {
      requests,
      messages,
      send,
      async evaluate<T>(expression: string): Promise<T> {
        const answer = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
        if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails));
        return (answer.result as { value: T }).value;
      },
    };
  }
}
