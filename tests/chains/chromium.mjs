// The same client in a real Chromium: a page of the chain's own origin that imports client.js as a site would. What
// carried the events is read from the browser's own network log.

import { Jar } from '../harness/jar.mjs';
import { startBrowser } from '../harness/browser.mjs';
import { Carriers } from '../harness/client.mjs';

export async function startChromium() {
  const chromium = await startBrowser();
  return {
    stop: chromium.stop,
    /** A profile with one page at `running`. */
    async page(running) {
      // The document is a small answer of our own server, which forbids everything; the test needs its origin only.
      const profile = await chromium.profile({ home: running.origin, bypassCSP: true });
      const page = await profile.page();
      await page.goto(`${running.base}/session`);
      const browser = new ChromiumPage(profile, page);
      await browser.ready(running.base);
      return browser;
    },
  };
}

class ChromiumPage extends Carriers {
  #onEvent = () => {};

  constructor(profile, page) {
    super();
    this.profile = profile;
    this.page = page;
  }

  async ready(base) {
    await this.page.exposeBinding('tell', (_source, event, data, at) => {
      // The page's clock is the machine's: turned into the clock of this process.
      this.#onEvent(event, data, performance.now() - (Date.now() - at));
    });
    await this.page.evaluate(async (address) => {
      const { startMaxAuth } = await import(`${address}/client.js`);
      window.startMaxAuth = startMaxAuth;
    }, base);
    this.cdp = await this.profile.context.newCDPSession(this.page);
    await this.cdp.send('Network.enable');
    const known = new Map();
    const end = ({ requestId }) => {
      if (known.has(requestId)) known.get(requestId).ended ??= performance.now();
    };
    const delivered = ({ requestId }) => {
      if (known.has(requestId)) known.get(requestId).delivered ??= performance.now();
    };
    this.cdp.on('Network.webSocketCreated', ({ requestId }) => known.set(requestId, this.carrier('websocket')));
    this.cdp.on('Network.webSocketFrameReceived', delivered);
    this.cdp.on('Network.webSocketClosed', end);
    this.cdp.on('Network.requestWillBeSent', ({ requestId, request }) => {
      const sse = /event-stream/.test(request.headers.Accept ?? request.headers.accept ?? '');
      known.set(requestId, this.carrier(sse ? 'sse' : 'long-poll'));
    });
    this.cdp.on('Network.dataReceived', delivered);
    this.cdp.on('Network.loadingFinished', end);
    this.cdp.on('Network.loadingFailed', end);
  }

  async start(base, onEvent) {
    this.#onEvent = onEvent;
    const startedAt = await this.page.evaluate((address) => {
      const at = Date.now();
      window.stopMaxAuth = window.startMaxAuth((event, data) => window.tell(event, data, Date.now()), {
        base: address,
      });
      return at;
    }, base);
    return performance.now() - (Date.now() - startedAt);
  }

  async stop() {
    await this.page.evaluate(() => window.stopMaxAuth?.()).catch(() => {});
  }

  async report() {
    return this.page
      .evaluate(() => window.stopMaxAuth?.report.map(({ transport, why }) => `${transport}: ${why}`) ?? [])
      .catch((error) => [String(error)]);
  }

  async cookies() {
    const jar = new Jar();
    for (const { name, value } of await this.profile.context.cookies()) jar.set(name, value);
    return jar;
  }

  async roundTrip(url) {
    return this.page.evaluate(async (address) => {
      let best = Infinity;
      for (let i = 0; i < 2; i++) {
        const from = performance.now();
        await (await fetch(`${address}?n=${Math.random()}`, { cache: 'no-store' })).text();
        best = Math.min(best, performance.now() - from);
      }
      return best;
    }, url);
  }

  /** As a phone does it with a page that nobody looks at: hidden first, then frozen. */
  async freeze() {
    await this.#visibility('hidden');
    await this.cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
  }

  async wake() {
    await this.cdp.send('Page.setWebLifecycleState', { state: 'active' });
    await this.#visibility('visible');
  }

  #visibility(state) {
    return this.page.evaluate((now) => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => now });
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => now === 'hidden' });
      document.dispatchEvent(new Event('visibilitychange'));
    }, state);
  }

  async close() {
    await this.profile.stop();
  }
}
