// @ts-check
/**
 * "Sign in with MAX", the browser side. One call starts a login and tells of it until it ends:
 *
 *     import { startMaxAuth } from '/api/auth/max/client.js';
 *     const stop = startMaxAuth((event, data) => { ... });
 *
 * The first event comes with the POST that begins the login. A login outlives its connections, so no transport is trusted
 * and none is waited for: delivery.js chooses among them, and what is read goes on from the position of the last event.
 */
import { overloadCode } from './answers.js';
import { describeBrowser, environment, languageOf, messagesFor } from './browser.js';
import { Delivery } from './delivery.js';
import { Failures } from './failures.js';
import { Line } from './lateness.js';
import { watchPage } from './page-lifecycle.js';
import { Questions } from './questions.js';
import { Reader, eventsOf } from './reader.js';
import { Nap, SECOND, backoff } from './waits.js';

/** @typedef {import('./answers.js').Problem} Problem */
/** @typedef {import('./browser.js').Clock} Clock */
/** @typedef {import('./questions.js').PasswordAnswer} PasswordAnswer */
/** @typedef {import('./wire.js').Wire} Wire */
/** @typedef {{ stage: 'connecting' | 'code' | 'waiting' | 'approved' | 'finishing', message: string, login?: string, ttl?: number, driver?: Driver, drivers?: Driver[] }} StatusData */
/** @typedef {'mini_app' | 'bot' | 'account_qr'} Driver who asks MAX, and so what happens on the phone */
/** @typedef {{ qrLink: string, svg: string, expiresAt: number, ttl: number, textCode?: string }} QrData times in ms, `expiresAt` since 1970 */
/** @typedef {{ matchCode: string }} ConfirmData somebody opened the code on a phone, and is to pick this there; a later `qr` takes it back */
/** @typedef {{ hint?: string | null, wrong?: boolean }} PasswordData */
/** @typedef {{ sub: string, name: string, first_name?: string, last_name?: string, picture?: string, phone?: string, authTime: number, expiresAt: number }} Session */
/** @typedef {{ token: string, redirect: string, session?: Session }} SuccessData `session` where the visitor stays on the page */
/** @typedef {{ code: string, message: string, retry: boolean, retryAfter?: number }} ErrorData `retryAfter` in ms */
/** @typedef {{ status: StatusData, qr: QrData, password: PasswordData, confirm: ConfirmData, success: SuccessData, error: ErrorData }} Events */
/** @typedef {keyof Events} EventName */
/** @typedef {(...told: { [E in EventName]: [event: E, data: Events[E]] }[EventName]) => void} OnEvent */
/**
 * @typedef {object} Options
 * @property {string} [base] where the endpoints live; default: the directory of this file
 * @property {string} [returnTo] where the visitor goes afterwards
 * @property {string} [request] of an app that waits for the sign-in
 * @property {'ru' | 'en' | string} [locale] default: the browser's language
 * @property {Driver} [driver] who is to ask MAX; default: the server's first that works
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
/** @typedef {(() => void) & { password(text: string): Promise<PasswordAnswer>, report: import('./failures.js').Report[] }} Stop */

const START_PATIENCE_MS = 20 * SECOND; // for a first POST that cannot get through
const LOGIN_LIFE_MS = 10 * 60 * SECOND; // unless the server says otherwise
const SERVER_FIRST_MS = 20 * SECOND; // it ends a login itself, if it can be reached
const MAY_COME_BACK = 4001; // what 1001 says; a page must not send that
const FRESH_LOGINS_PER_MINUTE = 3;
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
  #onEvent;
  #options;
  #env;
  #locale;
  #questions;
  #failures;
  #delivery;
  #nap;

  #reader = new Reader();
  #line = new Line();
  #ended = false;
  #stopped = false;
  #unproven = 0;
  /** @type {number[]} when fresh logins were begun by ourselves */
  #restarts = [];
  /** @type {any} */
  #deadline = null;
  #lastWake = -Infinity;
  #hinted = false;
  #unwatch = () => {};

  /** @param {OnEvent} onEvent @param {Options} options */
  constructor(onEvent, options) {
    this.#onEvent = onEvent;
    this.#options = options;
    this.#env = environment(options);
    this.#locale = languageOf(options.locale);
    this.#questions = new Questions(this.#env, this.#locale);
    this.#failures = new Failures(this.#env.clock);
    this.#nap = new Nap(this.#env.clock);
    const env = { ...this.#env, fetch: this.#questions.fetch };
    this.#delivery = new Delivery(env, this.#line, this.#reader, this.#failures, {
      onEvent: (wire) => this.#take(wire),
      onPage: (page) => this.#takePage(page),
      onGone: () => void this.#gone(),
    });
  }

  /** The last things that went wrong. */
  get report() {
    return this.#failures.report;
  }

  // ---- a login begins -------------------------------------------------------------------------------------------

  async begin() {
    this.#unwatch = watchPage(
      this.#env,
      () => this.#setAside(),
      (suspicious) => this.#wake(suspicious),
    );
    await this.#start(true);
  }

  /** @param {boolean} first false: the server lost the login and nobody needs to know */
  async #start(first) {
    const { clock } = this.#env;
    const startedAt = clock.now();
    for (let tries = 0; !this.#ended; tries++) {
      const { body, problem } = await this.#post();
      if (this.#stopped) {
        if (body) this.#questions.discard(body.login);
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
      await this.#nap.sleep(problem?.retryAfter ?? (tries > 0 ? backoff(this.#env.random, tries - 1) : 0));
    }
  }

  /** @returns {Promise<{ body: any, problem: Problem | null }>} */
  async #post() {
    const { clock, base } = this.#env;
    const askedAt = clock.now();
    const { body, problem, why } = await this.#questions.ask(base, this.#startRequest());
    if (!body && !problem?.code) this.#hint(`${base} gave no answer that this page may read`);
    const isLogin = typeof body?.login === 'string' && body.login !== '';
    if (isLogin) this.#line.answered(body, askedAt, clock.now());
    else this.#failures.note('post', why || 'not a login');
    return { body: isLogin ? body : null, problem };
  }

  #startRequest() {
    const { returnTo, request, userAgent, driver } = this.#options;
    return { userAgent: userAgent ?? describeBrowser(), returnTo, request, driver, locale: this.#locale };
  }

  /** True when there is an outcome: a login, or the server's word that there will be none. @returns {Promise<boolean>} */
  #beginOverSocket() {
    return new Promise((resolve) => {
      this.#delivery.begin(this.#startRequest(), (wire) => {
        const login = wire?.data?.login;
        if (typeof login === 'string' && login) {
          this.#newLogin(login);
          this.#delivery.start();
        } else if (wire?.event === 'error' && !wire.id) {
          const { code, message = '', retryAfter = null } = wire.data ?? {};
          this.#fail(String(code), { status: 0, code, message, retryAfter });
        } else {
          this.#delivery.stop(4000, 'Not a login');
          return resolve(false);
        }
        resolve(true);
      });
    });
  }

  /** @param {string} login @param {string} [key] for pages without a cookie */
  #newLogin(login, key) {
    this.#reader.begin(login, key);
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
    this.#newLogin(answer.login, typeof answer.key === 'string' ? answer.key : '');
    this.#takePage(answer);
    if (!this.#ended) this.#delivery.start();
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
    this.#failures.note('login', 'gone');
    this.#unproven = this.#reader.proven ? 0 : this.#unproven + 1;
    this.#delivery.stop(4000, 'Login gone');
    this.#reader.end();
    if (this.#unproven >= UNPROVEN_LOGINS_MAX) {
      this.#hint('cookies cannot go to the server');
      return this.#fail('cookies-blocked', null);
    }
    for (;;) {
      const now = clock.now();
      this.#restarts = this.#restarts.filter((at) => now - at < 60 * SECOND);
      if (this.#restarts.length < FRESH_LOGINS_PER_MINUTE) break;
      await this.#nap.sleep(this.#restarts[0] + 60 * SECOND - now);
      if (this.#ended) return;
    }
    this.#restarts.push(clock.now());
    await this.#start(false);
  }

  /** For the developer of a page that is not of the server's origin. @param {string} what */
  #hint(what) {
    const { base } = this.#env;
    const { origin } = globalThis.location ?? {};
    if (this.#hinted || !origin || new URL(base, origin).origin === origin) return;
    this.#hinted = true;
    console.error(
      `max-auth: ${what}. On one site with the server, ${origin} must be in its server.allowed_origins; on another site the button needs client-id. See docs/how-to/another-site.md`,
    );
  }

  // ---- events -----------------------------------------------------------------------------------------------------

  /** @param {{ events?: Wire[], next?: unknown }} page */
  #takePage(page) {
    const events = eventsOf(page);
    for (const wire of events) this.#take(wire);
    this.#reader.resumeFrom(page.next);
    return events.length;
  }

  /** @param {Wire} wire */
  #take(wire) {
    if (!this.#reader.login) return;
    const read = this.#reader.read(wire);
    if (read === 'gone') return void this.#gone();
    if (read === 'no position') return this.#failures.note('event', `no position on ${wire.event}`);
    if (read === 'seen') return;
    // The server thought that nobody was here any more (a phone that was in the MAX app): here we are.
    if (wire.event === 'error' && wire.data?.code === 'visitor-left') return void this.#gone();
    if (wire.event === 'status' && wire.data?.ttl > 0) this.#endAfter(wire.data.ttl);
    if (wire.event === 'success' || wire.event === 'error') this.#finish();
    if (wire.event === 'success' && this.#options.redeem) return void this.#redeem(wire.data ?? {});
    this.#tell(/** @type {EventName} */ (wire.event), wire.data ?? {});
  }

  /** @param {any} data of `success` */
  async #redeem(data) {
    const sleep = (/** @type {number} */ ms) => this.#nap.sleep(ms);
    const outcome = await this.#questions.redeem(data.token, () => this.#stopped, sleep);
    if (!outcome) return;
    if ('session' in outcome) return this.#tell('success', { ...data, session: outcome.session });
    const { code } = outcome;
    this.#tell('error', { code, message: messagesFor(this.#locale)[code], retry: true });
  }

  /** @param {EventName} event @param {any} data */
  #tell(event, data) {
    try {
      this.#onEvent(.../** @type {Parameters<OnEvent>} */ ([event, data]));
    } catch (error) {
      console.error(error); // the page's own fault must not cost it the login
    }
  }

  // ---- the visitor comes back -------------------------------------------------------------------------------------

  #setAside() {
    if (!this.#ended) this.#delivery.stop(MAY_COME_BACK, 'May come back');
  }

  /** @param {boolean} suspicious sockets of before are not to be believed */
  #wake(suspicious) {
    const now = this.#env.clock.now();
    if (this.#ended || (!suspicious && now - this.#lastWake < SECOND)) return;
    this.#lastWake = now;
    if (!this.#reader.login) return this.#nap.end(); // a POST waits for its next try
    this.#delivery.wake(suspicious);
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#ended) return;
    const { login } = this.#reader;
    this.#close('Client closed');
    if (login) this.#questions.discard(login);
  }

  #finish() {
    this.#close('Login finished');
  }

  /** @param {string} reason */
  #close(reason) {
    this.#ended = true;
    this.#env.clock.clearTimeout(this.#deadline);
    this.#delivery.stop(1000, reason);
    this.#reader.end();
    this.#nap.end();
    this.#unwatch();
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
  password(text) {
    return this.#questions.password(this.#reader.login, text);
  }
}
