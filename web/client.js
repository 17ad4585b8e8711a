// @ts-check
/**
 * "Sign in with MAX", the browser side. One call starts a login and tells of it until it ends:
 *
 *     import { startMaxAuth } from '/api/auth/max/client.js';
 *     const stop = startMaxAuth((event, data) => { ... });
 *
 * A login outlives its connections, so no transport is trusted and none is waited for. The first event comes with the
 * POST that begins the login. From then on short polls run, a WebSocket is opened beside them, and it takes over once
 * it has DELIVERED something; where it cannot, an SSE stream is tried the same way; where nothing lives, polling stays.
 * Each resumes from the position of the last event, so that nothing is lost, doubled or reordered on the way.
 */
import { describeBrowser, environment, messagesFor, recallWinner, rememberWinner } from './browser.js';
import {
  Pace, backoff, isGone, isGoneCode, nameOf, nonce, openPages, openSocket, openSse, overloadCode, parsePosition, readJson, readProblem,
} from './transports.js';

/** @typedef {import('./transports.js').Wire} Wire */
/** @typedef {import('./transports.js').Problem} Problem */
/** @typedef {import('./transports.js').Stream} Stream */
/** @typedef {import('./transports.js').Clock} Clock */
/** @typedef {'status' | 'qr' | 'password' | 'success' | 'error'} EventName */
/** @typedef {(event: EventName, data: any) => void} OnEvent */
/** @typedef {{ ok: true } | { ok: false, code: string, message: string }} PasswordAnswer */
/**
 * @typedef {object} Options
 * @property {string} [base] where the endpoints live; default: the directory of this file
 * @property {string} [returnTo] where the visitor goes afterwards
 * @property {'ru' | 'en' | string} [locale]
 * @property {object} [userAgent] what MAX is told of this browser; default: collected here
 * @property {typeof fetch} [fetch] this and the rest: for tests
 * @property {any} [WebSocket]
 * @property {Clock} [clock]
 * @property {() => number} [random]
 * @property {any} [document]
 * @property {(type: string, listener: (event: any) => void) => void} [addEventListener]
 * @property {(type: string, listener: (event: any) => void) => void} [removeEventListener]
 * @property {Pick<Storage, 'getItem' | 'setItem'> | null} [storage]
 */
/** @typedef {{ at: number, transport: string, why: string }} Report */
/** @typedef {(() => void) & { password(text: string): Promise<PasswordAnswer>, report: Report[] }} Stop */

const SECOND = 1000;
const WS_DELIVER_MS = 4 * SECOND;
const SSE_DELIVER_MS = 3 * SECOND;
const PARK_MS = 60 * SECOND; // how long a transport that failed is left alone
const POST_TIMEOUT_MS = 10 * SECOND;
const START_PATIENCE_MS = 20 * SECOND; // for a first POST that cannot get through
const LOGIN_LIFE_MS = 10 * 60 * SECOND + 20 * SECOND; // the server ends a login after ten minutes: it goes first
const HIDDEN_SUSPECT_MS = 5 * SECOND; // a page hidden for longer does not trust its socket
const FRESH_LOGINS_PER_MINUTE = 3;
const UNTOLD_MAX = 10; // failures that wait to be told to the server
const UNPROVEN_LOGINS_MAX = 3; // so many logins in a row unknown from the start: the cookie does not stick

/**
 * Starts a login. The function it returns stops it.
 * @param {OnEvent} onEvent
 * @param {Options} [options]
 * @returns {Stop}
 */
export function startMaxAuth(onEvent, options = {}) {
  const attempt = new Attempt(onEvent, options);
  void attempt.begin();
  return Object.assign(() => attempt.stop(), {
    password: (/** @type {string} */ text) => attempt.password(text),
    report: attempt.report,
  });
}

class Attempt {
  /** @type {Report[]} the last 20 things that went wrong */
  report = [];

  /** @type {string[]} of those, what the server has not been told */
  #untold = [];

  #onEvent;
  #env;
  #options;
  #ended = false;
  #stopped = false;

  #login = '';
  #epoch = '';
  #offset = -1;
  #after = ''; // the position to resume from
  #proven = false; // this login has answered at least once after its POST
  #unproven = 0;
  /** @type {number[]} when fresh logins were begun by ourselves */
  #restarts = [];
  /** @type {any} */
  #deadline = null;

  /** @type {Stream | null} */
  #ws = null;
  /** @type {Stream | null} */
  #sse = null;
  /** @type {'ws' | 'sse' | null} the stream that delivers; while there is one nothing polls */
  #live = null;
  #liveSince = 0;
  #losses = 0;
  #wsFailures = 0;
  #wsParkedUntil = 0;
  #sseParkedUntil = 0;
  /** @type {any} */
  #openTimer = null;

  /** @type {{ close(): void } | null} */
  #pages = null;
  #pace = new Pace();

  /** @type {{ timer: any, done: () => void } | null} */
  #nap = null;
  #hiddenAt = 0;
  #lastWake = -Infinity;
  /** @type {(() => void)[]} */
  #unlisten = [];

  /** @param {OnEvent} onEvent @param {Options} options */
  constructor(onEvent, options) {
    this.#onEvent = onEvent;
    this.#options = options;
    this.#env = environment(options);
  }

  // ---- a login begins -------------------------------------------------------------------------------------------

  async begin() {
    this.#listen();
    await this.#start(true);
  }

  /** @param {boolean} first false: the server lost the login and nobody needs to know */
  async #start(first) {
    const { clock } = this.#env;
    const startedAt = clock.now();
    for (let tries = 0; !this.#ended; tries++) {
      const { body, problem } = await this.#post();
      if (this.#stopped) {
        if (body) this.#discard(body.login);
        return;
      }
      if (this.#ended) return;
      if (body) return this.#adopt(body);

      const overload = overloadCode(problem);
      if (overload && first) return this.#fail(overload, problem);
      if (!overload && problem && problem.status >= 400 && problem.status < 500 && problem.status !== 408) {
        return this.#fail(problem.code || 'refused', problem, false);
      }
      if (first && clock.now() - startedAt >= START_PATIENCE_MS) return this.#fail('network', null);
      await this.#sleep(problem?.retryAfter ?? this.#backoff(tries));
    }
  }

  /** @returns {Promise<{ body: any, problem: Problem | null }>} */
  async #post() {
    const { clock, base } = this.#env;
    const { returnTo, locale, userAgent } = this.#options;
    const abort = new AbortController();
    const timer = clock.setTimeout(() => abort.abort(), POST_TIMEOUT_MS);
    try {
      const response = await this.#fetch(base, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
        body: JSON.stringify({ userAgent: userAgent ?? describeBrowser(), returnTo, locale }),
        signal: abort.signal,
      });
      if (!response.ok) {
        const problem = await readProblem(response, clock.now());
        this.#note('post', `http ${problem.status} ${problem.code}`);
        return { body: null, problem };
      }
      const body = await readJson(response);
      if (typeof body?.login === 'string' && body.login) return { body, problem: null };
      this.#note('post', 'not a login');
    } catch (error) {
      this.#note('post', `failed ${nameOf(error)}`);
    } finally {
      clock.clearTimeout(timer);
    }
    return { body: null, problem: null };
  }

  /** @param {{ login: string, events?: Wire[], next?: string }} answer */
  #adopt(answer) {
    const { clock } = this.#env;
    this.#login = answer.login;
    this.#epoch = '';
    this.#offset = -1;
    this.#after = '';
    this.#proven = false;
    clock.clearTimeout(this.#deadline);
    this.#deadline = clock.setTimeout(() => this.#expire(), LOGIN_LIFE_MS);
    this.#takePage(answer);
    if (this.#ended) return;
    this.#recallWinner();
    this.#openBest();
    this.#poll();
  }

  #expire() {
    const { clock } = this.#env;
    if (this.#ended) return;
    // Just back from sleep: the success may be waiting at the server, ask first.
    if (clock.now() - this.#lastWake < 5 * SECOND) {
      this.#deadline = clock.setTimeout(() => this.#expire(), 5 * SECOND);
    } else {
      this.#fail('login-expired', null);
    }
  }

  /** The server does not know this login, or this position, any more: begin anew, the visitor just sees a fresh code. */
  async #gone() {
    const { clock } = this.#env;
    this.#note('login', 'gone');
    this.#unproven = this.#proven ? 0 : this.#unproven + 1;
    this.#closeStreams(4000, 'Login gone');
    this.#stopPoll();
    this.#login = '';
    if (this.#unproven >= UNPROVEN_LOGINS_MAX) return this.#fail('cookies-blocked', null);
    for (;;) {
      const now = clock.now();
      this.#restarts = this.#restarts.filter((at) => now - at < 60 * SECOND);
      if (this.#restarts.length < FRESH_LOGINS_PER_MINUTE) break;
      await this.#sleep(this.#restarts[0] + 60 * SECOND - now);
      if (this.#ended) return;
    }
    this.#restarts.push(clock.now());
    await this.#start(false);
  }

  // ---- events -----------------------------------------------------------------------------------------------------

  /** @param {{ events?: Wire[], next?: unknown }} page */
  #takePage(page) {
    const events = Array.isArray(page.events) ? page.events.filter((wire) => typeof wire?.event === 'string') : [];
    const offset = (/** @type {Wire} */ wire) => parsePosition(wire.id)?.offset ?? 0;
    for (const wire of events.sort((a, b) => offset(a) - offset(b))) this.#take(wire);
    if (this.#offset < 0 && parsePosition(page.next)) this.#after = /** @type {string} */ (page.next);
    return events.length;
  }

  /** @param {Wire} wire */
  #take(wire) {
    if (this.#ended || !this.#login) return;
    const at = parsePosition(wire.id);
    if (!at) {
      if (wire.event === 'error' && isGoneCode(wire.data?.code)) return void this.#gone();
      return this.#note('event', `no position on ${wire.event}`);
    }
    if (this.#epoch && at.epoch !== this.#epoch) return void this.#gone();
    this.#epoch = at.epoch;
    if (at.offset <= this.#offset) return; // another transport was first
    this.#offset = at.offset;
    this.#after = /** @type {string} */ (wire.id);
    // The server thought that nobody was here any more (a phone that was in the MAX app): here we are.
    if (wire.event === 'error' && wire.data?.code === 'visitor-left') return void this.#gone();
    if (wire.event === 'success' || wire.event === 'error') this.#finish();
    this.#tell(/** @type {EventName} */ (wire.event), wire.data ?? {});
  }

  /** @param {EventName} event @param {any} data */
  #tell(event, data) {
    try {
      this.#onEvent(event, data);
    } catch (error) {
      console.error(error); // the page's own fault must not cost it the login
    }
  }

  // ---- transports -------------------------------------------------------------------------------------------------

  /** Starts asking for pages, where nothing better lives and nobody asks yet. @param {boolean} [wake] */
  #poll(wake = false) {
    if (this.#pages || this.#live || this.#ended || !this.#login) return;
    this.#pages = openPages({ ...this.#env, fetch: this.#fetch }, this.#pace, wake, {
      url: (query) => this.#uniqueUrl(query),
      beside: () => Boolean(this.#ws || this.#sse),
      onPage: (page) => {
        this.#proven = true;
        return this.#takePage(page);
      },
      onGone: () => void this.#gone(),
      onFault: (why) => this.#note('poll', why),
    });
  }

  #stopPoll() {
    this.#pages?.close();
    this.#pages = null;
  }

  /** Opens the best stream that is not known to fail. Polling goes on until it has delivered. */
  #openBest() {
    const { clock } = this.#env;
    clock.clearTimeout(this.#openTimer);
    if (this.#ended || !this.#login || this.#live === 'ws' || this.#ws) return;
    const wait = this.#wsParkedUntil - clock.now();
    if (wait <= 0) return this.#openWs();
    this.#openTimer = clock.setTimeout(() => this.#openBest(), wait);
    if (clock.now() >= this.#sseParkedUntil) this.#openSse();
  }

  #openWs() {
    const url = this.#eventsUrl({ beat: '1' }).replace(/^http/, 'ws');
    this.#ws = openSocket(this.#env, url, WS_DELIVER_MS, {
      onDelivered: () => {
        this.#wsFailures = 0;
        this.#sse?.close();
        this.#sse = null;
        this.#goLive('ws');
      },
      onEvent: (wire) => this.#take(wire),
      onEnd: (why) => {
        this.#ws = null;
        this.#note('ws', why);
        if (this.#live === 'ws') return this.#lost();
        this.#wsFailures += 1;
        if (why.startsWith('closed') && this.#wsFailures < 2) return this.#openLater(this.#backoff(0));
        this.#wsParkedUntil = this.#env.clock.now() + PARK_MS;
        this.#openBest();
      },
    });
  }

  #openSse() {
    if (this.#sse) return;
    this.#sse = openSse({ ...this.#env, fetch: this.#fetch }, this.#uniqueUrl({}), SSE_DELIVER_MS, {
      onDelivered: () => this.#goLive('sse'),
      onEvent: (wire) => this.#take(wire),
      onEnd: (why, problem) => {
        this.#sse = null;
        this.#note('sse', why);
        if (isGone(problem ?? null)) return void this.#gone();
        if (this.#live === 'sse') return this.#lost();
        this.#sseParkedUntil = this.#env.clock.now() + PARK_MS;
        this.#rememberWinner('poll');
      },
    });
  }

  /** @param {'ws' | 'sse'} kind */
  #goLive(kind) {
    this.#proven = true;
    this.#live = kind;
    this.#liveSince = this.#env.clock.now();
    this.#stopPoll();
    this.#rememberWinner(kind);
  }

  /** The stream that delivered is gone: a page at once, and a new stream a little later. */
  #lost() {
    this.#live = null;
    if (this.#env.clock.now() - this.#liveSince >= 10 * SECOND) this.#losses = 0;
    this.#openLater(this.#backoff(this.#losses++));
    this.#poll();
  }

  /** @param {number} ms */
  #openLater(ms) {
    const { clock } = this.#env;
    clock.clearTimeout(this.#openTimer);
    this.#openTimer = clock.setTimeout(() => this.#openBest(), ms);
  }

  /** @param {number} code @param {string} reason */
  #closeStreams(code, reason) {
    this.#env.clock.clearTimeout(this.#openTimer);
    this.#ws?.close(code, reason);
    this.#sse?.close();
    this.#ws = this.#sse = this.#live = null;
  }

  // ---- the visitor comes back -------------------------------------------------------------------------------------

  #listen() {
    const { document, listen, unlisten, clock } = this.#env;
    /** @param {any} target @param {string} type @param {(event: any) => void} listener */
    const on = (target, type, listener) => {
      target.add(type, listener);
      this.#unlisten.push(() => target.remove?.(type, listener));
    };
    if (document?.addEventListener) {
      const page = {
        add: document.addEventListener.bind(document),
        remove: document.removeEventListener?.bind(document),
      };
      on(page, 'visibilitychange', () => {
        if (document.visibilityState === 'hidden') {
          this.#hiddenAt = clock.now();
        } else if (this.#hiddenAt) {
          const away = clock.now() - this.#hiddenAt;
          this.#hiddenAt = 0;
          this.#wake(away > HIDDEN_SUSPECT_MS);
        }
      });
    }
    if (!listen) return;
    const window = { add: listen, remove: unlisten };
    on(window, 'pageshow', (event) => {
      if (event.persisted) this.#wake(true);
    });
    on(window, 'online', () => this.#wake(true));
    on(window, 'focus', () => this.#wake(false));
  }

  /** @param {boolean} suspicious sockets of before are not to be believed */
  #wake(suspicious) {
    const now = this.#env.clock.now();
    if (this.#ended || (!suspicious && now - this.#lastWake < SECOND)) return;
    this.#lastWake = now;
    if (!this.#login) return this.#endNap(); // a POST waits for its next try
    if (!suspicious && this.#live === 'ws' && this.#ws?.send({ wake: true })) return;
    this.#closeStreams(4000, 'Resuming');
    this.#stopPoll();
    this.#losses = 0;
    this.#openBest();
    this.#poll(true);
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#ended) return;
    const login = this.#login;
    this.#close('Client closed');
    if (login) this.#discard(login);
  }

  /** @param {string} login */
  #discard(login) {
    const url = `${this.#env.base}/${encodeURIComponent(login)}`;
    this.#fetch(url, { method: 'DELETE', keepalive: true }).catch(() => {}); // the server's grace period covers it
  }

  #finish() {
    this.#close('Login finished');
  }

  /** @param {string} reason */
  #close(reason) {
    this.#ended = true;
    this.#env.clock.clearTimeout(this.#deadline);
    this.#closeStreams(1000, reason);
    this.#stopPoll();
    this.#endNap();
    for (const forget of this.#unlisten.splice(0)) forget();
  }

  /** @param {string} code @param {Problem | null} problem @param {boolean} [retry] */
  #fail(code, problem, retry = true) {
    const table = messagesFor(this.#options.locale);
    const message = table[code] || problem?.message || table.refused;
    const data = { code, message, retry, ...(problem?.retryAfter != null && { retryAfter: problem.retryAfter }) };
    this.#finish();
    this.#tell('error', data);
  }

  /**
   * @param {string} text
   * @returns {Promise<PasswordAnswer>}
   */
  async password(text) {
    const table = messagesFor(this.#options.locale);
    if (this.#ended || !this.#login) return { ok: false, code: 'login-not-found', message: table['login-expired'] };
    try {
      const response = await this.#fetch(`${this.#env.base}/${encodeURIComponent(this.#login)}/password`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
        body: JSON.stringify({ password: text }),
      });
      if (response.ok) return { ok: true };
      const problem = await readProblem(response, this.#env.clock.now());
      return { ok: false, code: problem.code || 'refused', message: problem.message || table.refused };
    } catch {
      return { ok: false, code: 'network', message: table.network };
    }
  }

  // ---- small things -----------------------------------------------------------------------------------------------

  /** @type {(url: any, init?: any) => Promise<Response>} */
  #fetch = (url, init) => this.#env.fetch(url, { credentials: 'include', cache: 'no-store', ...init });

  /** An address that no cache has seen: in the path, because some leave the query out of their key. @param {Record<string, string>} query */
  #uniqueUrl(query) {
    return this.#eventsUrl(query, `/${nonce(this.#env.random)}`);
  }

  /** @param {Record<string, string>} query @param {string} [unique] */
  #eventsUrl(query, unique = '') {
    const params = new URLSearchParams();
    if (this.#after) params.set('after', this.#after);
    for (const [key, value] of Object.entries(query)) if (value) params.set(key, value);
    // What failed goes along with the next request, so that the operator's metrics show it.
    if (this.#untold.length) params.set('failed', this.#untold.splice(0).join(','));
    return `${this.#env.base}/${encodeURIComponent(this.#login)}/events${unique}?${params}`;
  }

  /** @param {number} n */
  #backoff(n) {
    return backoff(this.#env.random, n);
  }

  /** @param {number} ms */
  #sleep(ms) {
    this.#endNap();
    return new Promise((resolve) => {
      const done = () => {
        this.#nap = null;
        resolve(undefined);
      };
      this.#nap = { timer: this.#env.clock.setTimeout(done, ms), done };
    });
  }

  #endNap() {
    if (!this.#nap) return;
    this.#env.clock.clearTimeout(this.#nap.timer);
    this.#nap.done();
  }

  /** @param {string} transport @param {string} why */
  #note(transport, why) {
    this.report.push({ at: this.#env.clock.now(), transport, why });
    if (this.report.length > 20) this.report.shift();
    const [reason, status] = why.split(' ');
    if (this.#untold.length < UNTOLD_MAX) this.#untold.push(`${transport}.${reason}${reason === 'http' ? `-${status}` : ''}`);
  }

  /** What failed on the previous page is not tried first on this one. */
  #recallWinner() {
    const now = this.#env.clock.now();
    const kind = this.#wsParkedUntil > now ? null : recallWinner(this.#env.storage, now);
    if (kind === 'sse' || kind === 'poll') this.#wsParkedUntil = now + PARK_MS;
    if (kind === 'poll') this.#sseParkedUntil = now + PARK_MS;
  }

  /** @param {'ws' | 'sse' | 'poll'} kind */
  #rememberWinner(kind) {
    rememberWinner(this.#env.storage, kind, this.#env.clock.now());
  }
}
