// @ts-check
/** What is answered whole, and not by a stream: the beginning of a login, a password, the sign-in, its end. */

import { nameOf, readJson, readProblem } from './answers.js';
import { messagesFor } from './browser.js';
import { nonce } from './reader.js';
import { SECOND, backoff } from './waits.js';

/** @typedef {import('./answers.js').Problem} Problem */
/** @typedef {{ ok: true } | { ok: false, code: string, message: string }} PasswordAnswer */

const ANSWER_TIMEOUT_MS = 10 * SECOND;
const REDEEM_PATIENCE_MS = 50 * SECOND; // the server keeps a sign-in for a minute

export class Questions {
  #env;
  #locale;

  /** @param {ReturnType<typeof import('./browser.js').environment>} env @param {'ru' | 'en'} locale */
  constructor(env, locale) {
    this.#env = env;
    this.#locale = locale;
  }

  /** @type {(url: any, init?: any) => Promise<Response>} */
  fetch = (url, init) => this.#env.fetch(url, { credentials: 'include', cache: 'no-store', ...init });

  /**
   * @param {string} url
   * @param {object} [message] what is posted
   * @returns {Promise<{ body: any, problem: Problem | null, why: string }>} `why` there is no body, else ''
   */
  async ask(url, message) {
    const { clock } = this.#env;
    const abort = new AbortController();
    const timer = clock.setTimeout(() => abort.abort(), ANSWER_TIMEOUT_MS);
    try {
      const response = await this.fetch(url, {
        headers: { Accept: 'application/json', ...(message && { 'Content-Type': 'application/json' }) },
        ...(message && { method: 'POST', body: JSON.stringify(message) }),
        signal: abort.signal,
      });
      if (!response.ok) {
        const problem = await readProblem(response, clock.now());
        return { body: null, problem, why: `http ${problem.status} ${problem.code}` };
      }
      return { body: await readJson(response), problem: null, why: '' };
    } catch (error) {
      return { body: null, problem: null, why: `failed ${nameOf(error)}` };
    } finally {
      clock.clearTimeout(timer);
    }
  }

  /**
   * Turns the one-time token into a session; only then is the visitor signed in.
   * @param {string} token
   * @param {() => boolean} isStopped
   * @param {(ms: number) => Promise<unknown>} sleep
   * @returns {Promise<{ session: object } | { code: 'grant-invalid' | 'network' } | null>} null when it was stopped
   */
  async redeem(token, isStopped, sleep) {
    const { clock, base, random } = this.#env;
    const until = clock.now() + REDEEM_PATIENCE_MS;
    // By it the server knows the page again whose answer was lost: the token is good once.
    const attempt = nonce(random);
    for (let tries = 0; !isStopped(); tries++) {
      const { body, problem } = await this.ask(`${base}/callback`, { token, attempt });
      if (isStopped()) return null;
      if (body) return { session: body };
      const refused = isRefusal(problem);
      if (refused || clock.now() >= until) return { code: refused ? 'grant-invalid' : 'network' };
      await sleep(backoff(random, tries));
    }
    return null;
  }

  /** @param {string} login @param {string} text @returns {Promise<PasswordAnswer>} */
  async password(login, text) {
    const table = messagesFor(this.#locale);
    if (!login) return { ok: false, code: 'login-not-found', message: table['login-expired'] };
    try {
      const response = await this.fetch(`${this.#urlOf(login)}/password`, {
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

  /** @param {string} login */
  discard(login) {
    this.fetch(this.#urlOf(login), { method: 'DELETE', keepalive: true }).catch(() => {}); // the server's grace period covers it
  }

  /** @param {string} login */
  #urlOf(login) {
    return `${this.#env.base}/${encodeURIComponent(login)}`;
  }
}

/** The server's word about what was asked, and not about itself. @param {Problem | null} problem */
const isRefusal = (problem) => Boolean(problem?.code) && /** @type {Problem} */ (problem).status < 500;
