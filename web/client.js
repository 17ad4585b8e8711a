// @ts-check
/**
 * "Sign in with MAX", the browser side. One call starts a login and tells of it until it ends:
 *
 *     import { startMaxAuth } from '/api/auth/max/client.js';
 *     const stop = startMaxAuth((event, data) => { ... });
 *
 * A login outlives its connections, so no transport is trusted and none is waited for. The first event comes with the
 * POST that begins the login. From then on short polls run, a WebSocket is opened beside them, and it takes over once it
 * has shown that what it carries comes IN TIME (lateness.js); where it cannot, an SSE stream is tried the same way; where
 * nothing lives, polling stays. A stream that falls behind gives its place back. Each resumes from the position of the
 * last event, so that nothing is lost, doubled or reordered on the way.
 */
import { describeBrowser, environment, languageOf, messagesFor, recallWinner, rememberWinner } from './browser.js';
import { Judge, Line } from './lateness.js';
import {
  Pace,
  backoff,
  isGone,
  isGoneCode,
  nameOf,
  nonce,
  openPages,
  openSocket,
  openSse,
  overloadCode,
  parsePosition,
  readJson,
  readProblem,
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
 * @property {'ru' | 'en' | string} [locale] default: the browser's language
 * @property {boolean} [redeem] sign in without leaving the page: `success` is told when the session is there, and carries it
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
/** @typedef {'ws' | 'sse'} Kind */
/** @typedef {{ at: number, transport: string, why: string }} Report */
/** @typedef {(() => void) & { password(text: string): Promise<PasswordAnswer>, report: Report[] }} Stop */

const SECOND = 1000;
const WS_OPEN_MS = 4 * SECOND; // for the first mark
const SSE_OPEN_MS = 3 * SECOND;
const WS_MARKS = 3; // in a row and in time: then it takes over
const TRIAL_MARKS = 3; // of the trial of an SSE stream
const TRIAL_MORE_MS = 100; // a trial lasts longer than lateness is suffered, or what is held to its end would look timely
const PARK_MS = 60 * SECOND; // how long a transport that failed is left alone; twice as long each time
const PARK_DOUBLINGS = 3;
const POST_TIMEOUT_MS = 10 * SECOND;
const START_PATIENCE_MS = 20 * SECOND; // for a first POST that cannot get through
const REDEEM_PATIENCE_MS = 50 * SECOND; // the server keeps a sign-in for a minute
const LOGIN_LIFE_MS = 10 * 60 * SECOND; // unless the server says otherwise
const SERVER_FIRST_MS = 20 * SECOND; // it ends a login itself, if it can be reached
const HIDDEN_SUSPECT_MS = 5 * SECOND; // a page hidden for longer does not trust its socket
const MAY_COME_BACK = 4001; // what 1001 says; a page must not send that
const FRESH_LOGINS_PER_MINUTE = 3;
const UNREPORTED_MAX = 10; // failures that wait to be told to the server
const UNPROVEN_LOGINS_MAX = 3; // so many logins in a row unknown from the start: the cookie does not stick

/**
 * Starts a login. The function it returns stops it.
 * @param {OnEvent} onEvent
 * @param {Options} [options]
 * @returns {Stop}
 */
export function startMaxAuth(onEvent, options = {}) {
  const attempt = new LoginClient(onEvent, options);
  void attempt.begin();
  return Object.assign(() => attempt.stop(), {
    password: (/** @type {string} */ text) => attempt.password(text),
    report: attempt.report,
  });
}

class LoginClient {
  /** @type {Report[]} the last 20 things that went wrong */
  report = [];

  /** @type {string[]} of those, what the server has not been told */
  #unreportedFailures = [];

  #onEvent;
  #env;
  #locale;
  #options;
  #ended = false;
  #stopped = false;

  #login = '';
  #key = ''; // for pages without a cookie
  #epoch = '';
  #offset = -1;
  #after = ''; // the position to resume from
  #proven = false; // this login has answered at least once after its POST
  #unproven = 0;
  /** @type {number[]} when fresh logins were begun by ourselves */
  #restarts = [];
  /** @type {any} */
  #deadline = null;

  #line = new Line();
  /** @type {Stream | null} */
  #ws = null;
  /** @type {Stream | null} its trial, or itself */
  #sse = null;
  /** @type {Kind | null} the stream that delivers; while there is one nothing polls */
  #live = null;
  #liveSince = 0;
  #losses = 0;
  #wsFailures = 0;
  #parked = { ws: { until: 0, times: 0, silences: 0 }, sse: { until: 0, times: 0, silences: 0 } };
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
    this.#locale = languageOf(options.locale);
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
      const refused = problem !== null && problem.status >= 400 && problem.status < 500 && problem.status !== 408;
      if (refused && problem.code && !overload) return this.#fail(problem.code, problem, false);
      // Not our server's word: something on the way does not let a POST through. A WebSocket can begin a login, too.
      if ((refused || tries > 0) && !overload && (await this.#beginOverSocket())) return;
      if (this.#ended) return;
      if (refused && !overload) return this.#fail('refused', problem, false);
      if (first && clock.now() - startedAt >= START_PATIENCE_MS) return this.#fail('network', null);
      // An answer that was not ours, or a connection that was dead already: the next one may be better, so at once.
      await this.#sleep(problem?.retryAfter ?? (tries > 0 ? this.#backoff(tries - 1) : 0));
    }
  }

  /** @returns {Promise<{ body: any, problem: Problem | null }>} */
  async #post() {
    const { clock, base } = this.#env;
    const abort = new AbortController();
    const timer = clock.setTimeout(() => abort.abort(), POST_TIMEOUT_MS);
    const askedAt = clock.now();
    try {
      const response = await this.#fetch(base, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
        body: JSON.stringify(this.#startRequest()),
        signal: abort.signal,
      });
      if (!response.ok) {
        const problem = await readProblem(response, clock.now());
        this.#note('post', `http ${problem.status} ${problem.code}`);
        return { body: null, problem };
      }
      const body = await readJson(response);
      if (typeof body?.login === 'string' && body.login) {
        this.#line.answered(body, askedAt, clock.now());
        return { body, problem: null };
      }
      this.#note('post', 'not a login');
    } catch (error) {
      this.#note('post', `failed ${nameOf(error)}`);
    } finally {
      clock.clearTimeout(timer);
    }
    return { body: null, problem: null };
  }

  #startRequest() {
    const { returnTo, userAgent } = this.#options;
    return { userAgent: userAgent ?? describeBrowser(), returnTo, locale: this.#locale };
  }

  /** True when there is an outcome: a login, or the server's word that there will be none. @returns {Promise<boolean>} */
  #beginOverSocket() {
    return new Promise((resolve) => {
      this.#openWs(`${this.#env.base}?beat=1`, this.#startRequest(), (wire) => {
        const login = wire?.data?.login;
        if (typeof login === 'string' && login) {
          this.#newLogin(login);
          this.#recallWinner();
          this.#poll();
        } else if (wire?.event === 'error' && !wire.id) {
          const { code, message = '', retryAfter = null } = wire.data ?? {};
          this.#fail(String(code), { status: 0, code, message, retryAfter });
        } else {
          this.#closeStreams(4000, 'Not a login');
          return resolve(false);
        }
        resolve(true);
      });
    });
  }

  /** @param {string} login */
  #newLogin(login) {
    this.#login = login;
    this.#key = '';
    this.#epoch = '';
    this.#offset = -1;
    this.#after = '';
    this.#proven = false;
    this.#endAfter(LOGIN_LIFE_MS);
  }

  /** The login's life begins. @param {number} ms */
  #endAfter(ms) {
    const { clock } = this.#env;
    clock.clearTimeout(this.#deadline);
    this.#deadline = clock.setTimeout(() => this.#expire(), ms + SERVER_FIRST_MS);
  }

  /** @param {{ login: string, events?: Wire[], next?: string, key?: unknown }} answer */
  #adopt(answer) {
    this.#newLogin(answer.login);
    this.#key = typeof answer.key === 'string' ? answer.key : '';
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
    if (wire.event === 'status' && wire.data?.ttl > 0) this.#endAfter(wire.data.ttl);
    if (wire.event === 'success' || wire.event === 'error') this.#finish();
    if (wire.event === 'success' && this.#options.redeem) return void this.#redeem(wire.data ?? {});
    this.#tell(/** @type {EventName} */ (wire.event), wire.data ?? {});
  }

  /** Turns the one-time token into a session; only then is the visitor signed in. @param {any} data of `success` */
  async #redeem(data) {
    const { clock, base } = this.#env;
    const until = clock.now() + REDEEM_PATIENCE_MS;
    for (let tries = 0; !this.#stopped; tries++) {
      const asked = await this.#ask(`${base}/callback`, { token: data.token });
      // An answer that was lost on its way back has burnt the token: the session says whether it was that.
      const { body, problem } =
        tries > 0 && asked.problem?.code ? await this.#ask(`${base}/session/${nonce(this.#env.random)}`) : asked;
      if (this.#stopped) return;
      if (body) return this.#tell('success', { ...data, session: body });
      const refused = problem?.code && problem.status < 500;
      if (refused || clock.now() >= until) {
        const code = refused ? 'grant-invalid' : 'network';
        return this.#tell('error', { code, message: messagesFor(this.#locale)[code], retry: true });
      }
      await this.#sleep(this.#backoff(tries));
    }
  }

  /** @param {string} url @param {object} [message] @returns {Promise<{ body: any, problem: Problem | null }>} */
  async #ask(url, message) {
    const { clock } = this.#env;
    const abort = new AbortController();
    const timer = clock.setTimeout(() => abort.abort(), POST_TIMEOUT_MS);
    try {
      const response = await this.#fetch(url, {
        headers: { Accept: 'application/json', ...(message && { 'Content-Type': 'application/json' }) },
        ...(message && { method: 'POST', body: JSON.stringify(message) }),
        signal: abort.signal,
      });
      if (!response.ok) return { body: null, problem: await readProblem(response, clock.now()) };
      return { body: await readJson(response), problem: null };
    } catch {
      return { body: null, problem: null };
    } finally {
      clock.clearTimeout(timer);
    }
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
      key: this.#key,
      beside: () => Boolean(this.#ws || this.#sse),
      onPage: (page, askedAt) => {
        this.#proven = true;
        this.#line.answered(page, askedAt, this.#env.clock.now());
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

  /** Opens the best stream that is not known to fail. Polling goes on until it is proven. */
  #openBest() {
    const { clock } = this.#env;
    clock.clearTimeout(this.#openTimer);
    if (this.#ended || !this.#login || this.#live === 'ws' || this.#ws) return;
    const wait = this.#parked.ws.until - clock.now();
    if (wait <= 0) return this.#openWs(this.#eventsUrl({ beat: '1' }));
    this.#openTimer = clock.setTimeout(() => this.#openBest(), wait);
    if (clock.now() >= this.#parked.sse.until) this.#trySse();
  }

  /**
   * @param {string} address
   * @param {object | null} [startMessage] what begins a login
   * @param {((wire: Wire | null) => void) | null} [begun] gets the first event of it, or null
   */
  #openWs(address, startMessage = null, begun = null) {
    /** @param {Wire | null} wire */
    const begin = (wire) => {
      const tell = begun;
      begun = null;
      tell?.(wire);
    };
    /** @param {string} why */
    const over = (why) => {
      judge.stop();
      this.#ws = null;
      this.#note('ws', why);
      if (begun) return begin(null);
      if (this.#live === 'ws') return this.#lost('ws', why);
      this.#wsFailures += 1;
      const again = !['hang', 'refused'].includes(why) && this.#wsFailures < 2;
      if (again) return this.#openLater(this.#backoff(0));
      this.#park('ws');
      this.#openBest();
    };
    const judge = this.#judge(WS_MARKS, WS_OPEN_MS, {
      onProven: () => {
        this.#wsFailures = 0;
        this.#sse?.close();
        this.#sse = null;
        this.#goLive('ws');
      },
      onLate: (why) => {
        stream.close(4000, 'Resuming elsewhere');
        over(why);
      },
    });
    const stream = openSocket(this.#env, address.replace(/^http/, 'ws'), startMessage, {
      onMark: (mark) => judge.mark(mark),
      onEvent: (wire) => {
        if (begun) begin(wire);
        this.#take(wire);
      },
      onEnd: over,
    });
    this.#ws = judged(stream, judge);
  }

  /**
   * A short stream of marks first, which ends by itself: a stream that is held up costs nobody anything, even where the
   * proxy does nothing else meanwhile and does not notice that we have given up.
   * @param {boolean} [padded] the stream that pushes itself through buffers, for where the usual one was seen to hang
   */
  #trySse(padded = false) {
    if (this.#sse) return;
    /** @param {string} why @param {Problem} [problem] */
    const over = (why, problem) => {
      judge.stop();
      this.#sse = null;
      if (why === 'ended' && judge.inTime >= TRIAL_MARKS) return this.#openSse(padded);
      this.#note('sse', why);
      if (isGone(problem ?? null)) return void this.#gone();
      if (!padded && (why === 'hang' || why === 'late' || why === 'silent')) return this.#trySse(true);
      this.#park('sse');
      this.#rememberWinner('poll');
    };
    const judge = this.#judge(Infinity, SSE_OPEN_MS, {
      onLate: (why) => {
        stream.close();
        over(why);
      },
    });
    const trial = String(Math.ceil(this.#line.tolerance + TRIAL_MORE_MS));
    const url = this.#uniqueUrl({ trial, padded: padded ? '1' : '' });
    const handlers = { onMark: (/** @type {any} */ mark) => judge.mark(mark), onEvent: () => {}, onEnd: over };
    const stream = openSse({ ...this.#env, fetch: this.#fetch }, url, handlers);
    this.#sse = judged(stream, judge);
  }

  /** @param {boolean} padded */
  #openSse(padded) {
    /** @param {string} why @param {Problem} [problem] */
    const over = (why, problem) => {
      judge.stop();
      this.#sse = null;
      this.#note('sse', why);
      if (isGone(problem ?? null)) return void this.#gone();
      if (this.#live === 'sse') return this.#lost('sse', why);
      this.#park('sse');
      this.#rememberWinner('poll');
    };
    const judge = this.#judge(1, SSE_OPEN_MS, {
      onProven: () => this.#goLive('sse'),
      onLate: (why) => {
        stream.close();
        over(why);
      },
    });
    const stream = openSse({ ...this.#env, fetch: this.#fetch }, this.#uniqueUrl({ padded: padded ? '1' : '' }), {
      onMark: (mark) => judge.mark(mark),
      onEvent: (wire) => this.#take(wire),
      onEnd: over,
    });
    this.#sse = judged(stream, judge);
  }

  /** @param {number} needed @param {number} firstWithin @param {import('./lateness.js').Verdict} verdict */
  #judge(needed, firstWithin, verdict) {
    return new Judge(this.#env.clock, this.#line, needed, firstWithin, verdict);
  }

  /** @param {Kind} kind */
  #goLive(kind) {
    this.#proven = true;
    this.#live = kind;
    this.#liveSince = this.#env.clock.now();
    this.#stopPoll();
    this.#rememberWinner(kind);
  }

  /** The stream that delivered is gone, or behind: a page at once, and a new stream a little later. @param {Kind} kind @param {string} why */
  #lost(kind, why) {
    this.#live = null;
    if (this.#env.clock.now() - this.#liveSince >= 10 * SECOND) this.#losses = 0;
    // Silence may be a line that died. A second time, and when what comes comes late, it is the way of this transport.
    if (why === 'late' || (why === 'silent' && ++this.#parked[kind].silences > 1)) {
      this.#park(kind);
      if (kind === 'sse') this.#rememberWinner('poll');
    }
    this.#openLater(this.#backoff(this.#losses++));
    this.#poll();
  }

  /** Leaves a transport alone for a while. @param {Kind} kind */
  #park(kind) {
    const parked = this.#parked[kind];
    parked.until = this.#env.clock.now() + PARK_MS * 2 ** Math.min(parked.times++, PARK_DOUBLINGS);
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
    // Kept aside by the browser, which wants no open connection of such a page; it may come back.
    on(window, 'pagehide', (event) => {
      if (!event.persisted || this.#ended) return;
      this.#closeStreams(MAY_COME_BACK, 'May come back');
      this.#stopPoll();
    });
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
    const table = messagesFor(this.#locale);
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
    const table = messagesFor(this.#locale);
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
    if (this.#unreportedFailures.length) params.set('failed', this.#unreportedFailures.splice(0).join(','));
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
    if (this.#unreportedFailures.length < UNREPORTED_MAX)
      this.#unreportedFailures.push(`${transport}.${reason}${reason === 'http' ? `-${status}` : ''}`);
  }

  /** What failed on the previous page is not tried first on this one. */
  #recallWinner() {
    const now = this.#env.clock.now();
    const kind = this.#parked.ws.until > now ? null : recallWinner(this.#env.storage, now);
    if (kind === 'sse' || kind === 'poll') this.#parked.ws.until = now + PARK_MS;
    if (kind === 'poll') this.#parked.sse.until = now + PARK_MS;
  }

  /** @param {'ws' | 'sse' | 'poll'} kind */
  #rememberWinner(kind) {
    rememberWinner(this.#env.storage, kind, this.#env.clock.now());
  }
}

/** Closing a stream ends what is judged of it. @param {Stream} stream @param {Judge} judge @returns {Stream} */
function judged(stream, judge) {
  return {
    send: stream.send,
    close: (code, reason) => {
      judge.stop();
      stream.close(code, reason);
    },
  };
}
