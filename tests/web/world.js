// @ts-check
/**
 * A world for client.js without a network and without waiting: a clock that moves when told, a server that keeps each
 * login as a log of events and serves it over pages, SSE and WebSocket, and faults on every one of them.
 */
import { startMaxAuth } from '../../web/client.js';

export const BASE = 'https://site.test/api/auth/max';

/** Lets everything that is ready to run, run. */
export async function settle() {
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
}

export class VirtualClock {
  #now = 1_790_000_000_000;
  #next = 1;
  /** @type {Map<number, { at: number, f: () => void }>} */
  #timers = new Map();

  now = () => this.#now;
  /** @param {() => void} f @param {number} ms */
  setTimeout = (f, ms) => {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + Math.max(0, ms), f });
    return id;
  };
  /** @param {number} id */
  clearTimeout = (id) => void this.#timers.delete(id);
  get pending() {
    return this.#timers.size;
  }

  /** Time passes while nothing runs: a lid that was closed. @param {number} ms */
  sleepThrough(ms) {
    this.#now += ms;
  }

  /** @param {number} ms */
  async advance(ms) {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers]
        .filter(([, t]) => t.at <= until)
        .sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].f();
      await settle();
    }
    this.#now = until;
    await settle();
  }
}

/** @typedef {{ id: string, event: string, data: any }} Logged */
/** @typedef {{ method: string, path: string, query: URLSearchParams, accept: string, body: any, at: number, init: any }} Asked */

export class World {
  clock = new VirtualClock();
  /** @type {Map<string, { epoch: string, events: Logged[], wakes: number, readers: Set<() => void> }>} */
  logins = new Map();
  current = '';
  /** @type {Asked[]} */
  asked = [];
  /** @type {FakeSocket[]} */
  sockets = [];
  /** @type {Set<{ cut: () => void }>} */
  streams = new Set();
  /** @type {[string, any][]} what the page was told */
  told = [];

  /** 'ok' | 'hang' (opens, says nothing) | 'refuse' (closes before opening) | 'mute' (nothing more after the opening marks) */
  ws = 'ok';
  /** 'ok' | 'hang' (no head) | 'held' (head, no body until it ends) | a Response factory */
  /** @type {string | (() => Response)} */
  sse = 'ok';
  /** By how much what is streamed comes later, from now on. */
  wsLate = 0;
  sseLate = 0;
  /** By how much whole answers come later. */
  away = 0;
  /** Says what to do with this poll: undefined lets it through. @type {(asked: Asked) => any} */
  onPoll = () => undefined;
  /** @type {(asked: Asked) => any} */
  onPost = () => undefined;
  /** Answers /callback and /session. @type {(asked: Asked) => any} */
  onRedeem = () => json({ sub: 'max:1', name: 'И' });

  document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  window = new EventTarget();
  storage = memoryStorage();
  /** What the server says of a login's life. */
  ttl = 600_000;
  #made = 0;

  /** @param {object} [options] */
  start(options = {}) {
    const world = this;
    /** @type {any} */
    const socketClass = function (/** @type {string} */ url) {
      return new FakeSocket(world, url);
    };
    return startMaxAuth((event, data) => this.told.push([event, data]), {
      base: BASE,
      fetch: /** @type {any} */ (this.fetch),
      WebSocket: socketClass,
      clock: this.clock,
      random: () => 0.5,
      document: this.document,
      addEventListener: this.window.addEventListener.bind(this.window),
      removeEventListener: this.window.removeEventListener.bind(this.window),
      storage: this.storage,
      locale: 'en',
      ...options,
    });
  }

  get log() {
    const log = this.logins.get(this.current);
    if (!log) throw new Error('no login');
    return log;
  }

  /** @param {string} event @param {any} [data] */
  emit(event, data = {}) {
    const { epoch, events, readers } = this.log;
    events.push({ id: `${epoch}-${events.length + 1}`, event, data });
    for (const wake of [...readers]) wake();
  }

  /** The server restarts with an empty memory. */
  forgetAll() {
    this.logins.clear();
    for (const socket of this.sockets) socket.cut(1006);
    for (const stream of [...this.streams]) stream.cut();
  }

  /** @param {string} kind */
  kinds(kind) {
    return this.asked.filter((asked) => kindOf(asked) === kind);
  }
  get liveSockets() {
    return this.sockets.filter((socket) => socket.readyState <= 1);
  }
  get events() {
    return this.told.map(([event, data]) => (data.n === undefined ? event : `${event}${data.n}`));
  }
  /** @param {string} state */
  show(state) {
    this.document.visibilityState = state;
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  /** @param {string} address @param {any} init */
  fetch = (address, init = {}) => {
    const url = new URL(address);
    const asked = {
      method: init.method ?? 'GET',
      path: url.pathname.slice(new URL(BASE).pathname.length),
      query: url.searchParams,
      accept: init.headers?.Accept ?? '',
      body: init.body ? JSON.parse(init.body) : null,
      at: this.clock.now(),
      init,
    };
    this.asked.push(asked);
    return new Promise((resolve, reject) => {
      const abort = () => reject(new DOMException('aborted', 'AbortError'));
      if (init.signal?.aborted) return abort();
      init.signal?.addEventListener('abort', abort);
      const arrive = (/** @type {any} */ answer) =>
        this.away > 0 ? void this.clock.setTimeout(() => resolve(answer), this.away) : resolve(answer);
      this.#answer(asked, init.signal, arrive, reject);
    });
  };

  /** @param {Asked} asked @param {AbortSignal} signal @param {(r: any) => void} resolve @param {(e: any) => void} reject */
  #answer(asked, signal, resolve, reject) {
    const kind = kindOf(asked);
    const fault = kind === 'post' ? this.onPost(asked) : kind === 'poll' ? this.onPoll(asked) : undefined;
    if (fault === 'reset') return reject(new TypeError('Failed to fetch'));
    if (fault === 'never') return;
    if (fault?.after) return void this.clock.setTimeout(() => resolve(fault.response()), fault.after);
    if (fault) return resolve(fault);

    if (kind === 'post') return resolve(json(this.newLogin()));
    const [, id] = asked.path.split('/');
    if (kind === 'callback' || kind === 'session') return resolve(this.onRedeem(asked));
    if (kind === 'delete' || kind === 'password') return resolve(json({}));
    const log = this.logins.get(id);
    if (!log) return resolve(problem(404, 'login-not-found'));
    if (asked.query.get('wake') === '1') log.wakes += 1;
    const after = Number(asked.query.get('after')?.split('-').pop() ?? 0);
    if (kind === 'sse') return this.#serveSse(log, after, Number(asked.query.get('trial') ?? 0), signal, resolve);

    const times = () => ({ asked: asked.at, sent: this.clock.now() });
    const page = () => {
      const events = log.events.slice(after);
      return events.length ? json({ events, next: events[events.length - 1].id, ...times() }) : null;
    };
    const ready = page();
    if (ready) return resolve(ready);
    const done = () => {
      log.readers.delete(reader);
      this.clock.clearTimeout(timer);
    };
    const reader = () => {
      const full = page();
      if (full) (done(), resolve(full));
    };
    const timer = this.clock.setTimeout(
      () => {
        done();
        resolve(json({ events: [], next: `${log.epoch}-${after}`, ...times() }));
      },
      Number(asked.query.get('wait')) * 1000,
    );
    log.readers.add(reader);
    signal?.addEventListener('abort', done);
  }

  newLogin() {
    const id = `login${++this.#made}`;
    this.current = id;
    this.logins.set(id, { epoch: `ep-${this.#made}`, events: [], wakes: 0, readers: new Set() });
    this.emit('status', { stage: 'connecting', n: 1, login: id, ttl: this.ttl });
    return {
      login: id,
      events: [...this.log.events],
      next: `${this.log.epoch}-1`,
      key: `key-${id}`,
      asked: this.clock.now(),
      sent: this.clock.now(),
    };
  }

  /** @param {any} log @param {number} after @param {number} trial @param {AbortSignal} signal @param {(r: any) => void} resolve */
  #serveSse(log, after, trial, signal, resolve) {
    if (this.sse === 'hang') return;
    if (typeof this.sse === 'function') return resolve(this.sse());
    const held = this.sse === 'held';
    /** @type {ReadableStreamDefaultController} */
    let out;
    const encoder = new TextEncoder();
    let sent = after;
    /** @param {string} text */
    const say = (text) => {
      const write = () => {
        if (this.streams.has(handle)) out.enqueue(encoder.encode(text));
      };
      if (this.sseLate > 0) this.clock.setTimeout(write, this.sseLate);
      else write();
    };
    /** @param {number} next */
    const mark = (next) => say(`: ${this.clock.now()} ${next}\n\n`);
    const pump = () => {
      if (sent === log.events.length) return;
      for (const e of log.events.slice(sent))
        say(`id: ${e.id}\nevent: ${e.event}\ndata: ${JSON.stringify(e.data)}\n\n`);
      sent = log.events.length;
      this.clock.setTimeout(() => mark(10_000), 150);
    };
    const handle = {
      cut: () => {
        this.streams.delete(handle);
        log.readers.delete(pump);
        try {
          out.close();
        } catch {
          // cut twice
        }
      },
    };
    const beat = () => {
      if (!this.streams.has(handle)) return;
      mark(10_000);
      this.clock.setTimeout(beat, 10_000);
    };
    const tried = () => {
      /** @type {string[]} */
      const held = [];
      for (let i = 0; i <= 4; i++) {
        this.clock.setTimeout(
          () => {
            if (this.sse === 'held') held.push(`: ${this.clock.now()} ${Math.round(trial / 4)}\n\n`);
            else mark(Math.round(trial / 4));
            if (i < 4) return;
            for (const text of held) say(text);
            this.clock.setTimeout(handle.cut, this.sseLate);
          },
          (trial / 4) * i,
        );
      }
    };
    const body = new ReadableStream({
      start: (controller) => {
        out = controller;
        this.streams.add(handle);
        if (trial) return tried();
        if (held) return;
        beat();
        pump();
        log.readers.add(pump);
      },
      cancel: () => handle.cut(),
    });
    signal?.addEventListener('abort', () => handle.cut());
    resolve(new Response(body, { headers: { 'content-type': 'text/event-stream' } }));
  }
}

class FakeSocket {
  readyState = 0;
  /** @type {any} */ onopen = null;
  /** @type {any} */ onmessage = null;
  /** @type {any} */ onclose = null;
  /** @type {any} */ onerror = null;
  /** @type {any[]} */ sent = [];
  /** @type {[number | undefined, string | undefined] | null} how the page closed it */
  closedBy = null;
  #forget = () => {};

  /** @param {World} world @param {string} url */
  constructor(world, url) {
    this.world = world;
    this.url = new URL(url);
    world.sockets.push(this);
    const mode = world.ws;
    world.clock.setTimeout(() => {
      if (this.readyState !== 0) return;
      if (mode === 'refuse') return this.cut(1006);
      this.readyState = 1;
      this.onopen?.({});
      if (mode !== 'hang' && this.#asks()) this.#serve(mode);
    }, 30);
  }

  /** False for the address that begins a login: its first message does. */
  #asks() {
    return this.url.pathname.endsWith('/events');
  }

  /** @param {string} mode */
  #serve(mode) {
    const log = this.world.logins.get(this.#asks() ? (this.url.pathname.split('/').at(-2) ?? '') : this.world.current);
    if (!log) return this.cut(1006);
    let sent = Number(this.url.searchParams.get('after')?.split('-').pop() ?? 0);
    const { clock } = this.world;
    const asked = Number(this.url.searchParams.get('beat'));
    const rare = asked > 1 ? asked * 1000 : 0;
    /** @param {any} message */
    const say = (message) => {
      if (this.world.wsLate > 0) clock.setTimeout(() => this.say(message), this.world.wsLate);
      else this.say(message);
    };
    /** @param {number} left of the opening marks */
    const beat = (left) => {
      if (this.readyState !== 1) return;
      const next = left > 0 ? 100 : rare || 10_000;
      say({ event: 'beat', sent: clock.now(), next });
      if (mode !== 'mute' || left > 0) clock.setTimeout(() => beat(left - 1), next);
    };
    const pump = () => {
      if (sent === log.events.length || this.readyState !== 1) return;
      for (; sent < log.events.length; sent++) say(log.events[sent]);
      if (!rare) clock.setTimeout(() => say({ event: 'beat', sent: clock.now(), next: 10_000 }), 150);
    };
    beat(rare ? 0 : 3);
    pump();
    log.readers.add(pump);
    this.#forget = () => log.readers.delete(pump);
  }

  /** @param {any} message */
  say(message) {
    if (this.readyState !== 1) return;
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  /** The other side, or something between, ends it. @param {number} code */
  cut(code) {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#forget();
    this.onclose?.({ code });
  }
  /** @param {string} text */
  send(text) {
    const message = JSON.parse(text);
    this.sent.push(message);
    if (message.userAgent && this.world.ws === 'ok') {
      this.world.newLogin();
      this.#serve('ok');
    }
  }
  /** @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    if (this.readyState >= 2) return;
    this.closedBy = [code, reason];
    this.readyState = 3;
    this.#forget();
  }
}

/** @param {Asked} asked */
function kindOf({ method, path, accept, query }) {
  if (method === 'DELETE') return 'delete';
  if (path === '') return 'post';
  if (path.endsWith('/password')) return 'password';
  if (path === '/callback' || path.startsWith('/session/')) return path.split('/')[1];
  return accept === 'text/event-stream' ? 'sse' : query.has('wait') ? 'poll' : 'other';
}

/** @param {any} body @param {ResponseInit} [init] */
export function json(body, init) {
  return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' }, ...init });
}

/** @param {number} status @param {string} code @param {Record<string, string>} [headers] */
export function problem(status, code, headers = {}) {
  const body = { type: 'about:blank', title: 'No', status, detail: `because ${code}`, code };
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/problem+json', ...headers },
  });
}

function memoryStorage() {
  /** @type {Map<string, string>} */
  const map = new Map();
  return {
    getItem: (/** @type {string} */ key) => map.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void map.set(key, value),
  };
}
