/** A real headless Chromium, spoken to by the DevTools protocol: what a page looks like, logs, asks for. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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
  const args = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--remote-debugging-port=0',
    `--user-data-dir=${profile}`,
  ];
  const browser = spawn('chromium', [...args, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const ended = new Promise((resolve) => browser.once('exit', resolve));
  try {
    const address = await new Promise<string>((resolve, reject) => {
      let text = '';
      browser.once('error', reject);
      browser.once('exit', () => reject(new Error(`chromium ended: ${text}`)));
      browser.stderr.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        const found = /DevTools listening on (ws:\S+)/.exec(text)?.[1];
        if (found !== undefined) resolve(found);
      });
    });
    const targets = (await (await fetch(`http://${new URL(address).host}/json/list`)).json()) as {
      type: string;
      webSocketDebuggerUrl: string;
    }[];
    const page = await connect(targets.find(({ type }) => type === 'page')!.webSocketDebuggerUrl);
    for (const domain of ['Page', 'Network', 'Runtime', 'Log']) await page.send(`${domain}.enable`);
    await page.send('Emulation.setDeviceMetricsOverride', {
      width,
      height: 900,
      deviceScaleFactor: 1,
      mobile: width < 600,
    });
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
    await page.send('Emulation.setEmulatedMedia', { features });
    const loaded = page.once('Page.loadEventFired');
    await page.send('Page.navigate', { url });
    await loaded;
    return await look(page);
  } finally {
    process.kill(-browser.pid!, 'SIGKILL');
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function connect(address: string): Promise<Page & { once(event: string): Promise<unknown> }> {
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', reject, { once: true });
  });
  const requests: string[] = [];
  const messages: string[] = [];
  const waiting = new Map<
    number,
    (answer: { result?: Record<string, unknown>; error?: { message: string } }) => void
  >();
  const listeners = new Map<string, (value: unknown) => void>();
  let last = 0;
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data));
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    listeners.get(message.method)?.(message.params);
    if (message.method === 'Network.requestWillBeSent') requests.push(message.params.request.url);
    if (message.method === 'Runtime.exceptionThrown') messages.push(JSON.stringify(message.params));
    if (message.method === 'Runtime.consoleAPICalled' || message.method === 'Log.entryAdded')
      messages.push(JSON.stringify(message.params));
  });
  const send = (method: string, params: object = {}): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, ({ result, error }) =>
        error === undefined ? resolve(result ?? {}) : reject(new Error(error.message)),
      );
      socket.send(JSON.stringify({ id, method, params }));
    });
  return {
    requests,
    messages,
    send,
    once: (event) => new Promise((resolve) => listeners.set(event, resolve)),
    async evaluate<T>(expression: string): Promise<T> {
      const answer = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails));
      return (answer.result as { value: T }).value;
    },
  };
}
