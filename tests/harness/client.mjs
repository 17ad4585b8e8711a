// What a browser gives web/client.js, in Node: fetch and WebSocket with one cookie jar, one Origin, one pool of connections.

import WebSocket from 'ws';
import { startMaxAuth } from '../../web/client.js';
import { Jar } from './jar.mjs';
import { USER_AGENT } from './visitor.mjs';

// Node keeps the class of its own HTTP client to itself, but for this well-known symbol; a first fetch puts it there.
await fetch('data:,');
const Agent = globalThis[Symbol.for('undici.globalDispatcher.1')].constructor;

/** What carried something, whoever ran the client: {kind, opened, delivered, ended}. */
export class Carriers {
  carriers = [];

  carrier(kind) {
    const carrier = { kind, opened: performance.now(), delivered: undefined, ended: undefined };
    this.carriers.push(carrier);
    return carrier;
  }

  /** What carries events right now. */
  get transport() {
    for (const kind of ['websocket', 'sse']) {
      if (this.carriers.some((carrier) => carrier.kind === kind && carrier.delivered && !carrier.ended)) return kind;
    }
    return 'long-poll';
  }

  count(kind) {
    return this.carriers.filter((carrier) => carrier.kind === kind).length;
  }
}

export class BrowserLike extends Carriers {
  jar = new Jar();
  #storage = new Map();
  #listeners = new Map();

  /** @param {string} origin @param {{ h2?: boolean }} [options] */
  constructor(origin, { h2 = false } = {}) {
    super();
    this.origin = origin;
    this.h2 = h2;
    // Six connections, as browsers have for HTTP/1.1. Nobody checks the certificate that was made a minute ago.
    this.agent = new Agent({ connections: 6, allowH2: h2, connect: { rejectUnauthorized: false } });
    const browser = this;
    this.WebSocket = class extends WebSocket {
      constructor(url) {
        super(url, { headers: browser.headers(), rejectUnauthorized: false });
        const carrier = browser.carrier('websocket');
        this.on('error', () => {});
        this.on('upgrade', (response) => browser.jar.take(response.headers['set-cookie']));
        this.on('message', () => {
          carrier.delivered ??= performance.now();
        });
        this.on('close', () => {
          carrier.ended = performance.now();
        });
      }
    };
  }

  headers(extra = {}) {
    return {
      'user-agent': USER_AGENT.headerUserAgent,
      origin: this.origin,
      ...(this.jar.header ? { cookie: this.jar.header } : {}),
      ...extra,
    };
  }

  fetch = async (url, init = {}) => {
    const { headers = {}, credentials: _credentials, cache: _cache, keepalive: _keepalive, ...rest } = init;
    const sse = /event-stream/.test(headers.Accept ?? headers.accept ?? '');
    const carrier = this.carrier(sse ? 'sse' : 'long-poll');
    try {
      const response = await fetch(url, {
        ...rest,
        headers: this.headers(headers),
        dispatcher: this.agent,
        redirect: 'manual',
      });
      this.jar.take(response.headers.getSetCookie());
      carrier.status = response.status;
      if (!sse || !response.ok || !response.body) {
        carrier.ended = performance.now();
        return response;
      }
      const body = response.body.pipeThrough(
        new TransformStream({
          transform(chunk, controller) {
            carrier.delivered ??= performance.now();
            controller.enqueue(chunk);
          },
          flush() {
            carrier.ended = performance.now();
          },
        }),
      );
      init.signal?.addEventListener('abort', () => {
        carrier.ended ??= performance.now();
      });
      return new Response(body, { status: response.status, headers: response.headers });
    } catch (error) {
      carrier.ended = performance.now();
      throw error;
    }
  };

  /** The session storage of a page. */
  storage = {
    getItem: (key) => this.#storage.get(key) ?? null,
    setItem: (key, value) => {
      this.#storage.set(key, String(value));
    },
  };

  /** Starts the client as a page would; gives what stops it. */
  start(base, onEvent, options = {}) {
    this.client = startMaxAuth(onEvent, {
      base,
      fetch: this.fetch,
      WebSocket: this.WebSocket,
      storage: this.storage,
      document: null,
      addEventListener: (type, listener) => this.#listeners.set(type, listener),
      removeEventListener: () => {},
      ...options,
    });
  }

  stop() {
    this.client?.();
  }

  /** What went wrong on the way, as the client noted it. */
  async report() {
    return this.client?.report.map(({ transport, why }) => `${transport}: ${why}`) ?? [];
  }

  /** What the window of a page would say: "online", "pageshow", … */
  window(type, event = {}) {
    this.#listeners.get(type)?.({ type, ...event });
  }

  async cookies() {
    return this.jar.copy();
  }

  /** How long a small answer takes, connection included. Twice, since proxies open lazily. */
  async roundTrip(url) {
    let best = Infinity;
    for (let i = 0; i < 2; i++) {
      const other = new BrowserLike(this.origin, { h2: this.h2 });
      const from = performance.now();
      const answer = await other.fetch(`${url}?n=${Math.random()}`, { signal: AbortSignal.timeout(10_000) });
      await answer.text();
      best = Math.min(best, performance.now() - from);
      await other.close();
    }
    return best;
  }

  async close() {
    await this.agent.destroy();
  }
}
