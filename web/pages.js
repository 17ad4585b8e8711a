// @ts-check
/** Pages: what is new, asked for again and again. They work everywhere, and go on until they are closed. */

import { isGone, nameOf, overloadCode, readJson, readProblem } from './answers.js';
import { backoff } from './waits.js';

/** @typedef {import('./answers.js').Problem} Problem */
/** @typedef {import('./browser.js').Clock} Clock */

const HOLD_MAX = 10; // seconds; shorter than every known default cut of a proxy
const HOLD_BESIDE = 2; // while a stream is being tried
const GRACE_MS = 5000; // a page that has no answer so long after its hold is stuck
const QUICK_RETRIES = 4; // 10, 5, 2, 1: after that it is not the hold
// A page gets no answer on a connection that died while nobody looked, and browsers keep several. Where that is likely,
// short questions find the one that lives.
const DOUBTFUL_PAGES = 3;
const DOUBTFUL_HOLD = 1; // seconds
const DOUBTFUL_GRACE_MS = 1500;

/** How long the server may hold a page: halved when something cuts it, and slowly up again. Outlives a single loop. */
export class Pace {
  #hold = HOLD_MAX;
  #full = 0;
  /**
   * Which of a browser's two sets of connections is asked: that with cookies, or that without, where a key says who asks.
   * When the one may be dead (over HTTP/2 all its questions share one connection) the other is not.
   */
  keyed = false;

  /** The connections of the other set. @param {boolean} hasKey */
  change(hasKey) {
    this.keyed = !this.keyed && hasKey;
  }

  /** @param {boolean} beside a stream is being tried */
  next(beside) {
    return Math.min(this.#hold, beside ? HOLD_BESIDE : HOLD_MAX);
  }
  /** @param {number} hold */
  cut(hold) {
    this.#hold = Math.max(1, Math.floor(hold / 2));
    this.#full = 0;
  }
  /** A page was held to its end. @param {number} hold */
  full(hold) {
    if (hold < this.#hold || ++this.#full < 3) return;
    this.#hold = Math.min(HOLD_MAX, this.#hold + 1);
    this.#full = 0;
  }
}

/**
 * @typedef {object} PageHandlers
 * @property {(query: Record<string, string>) => string} url
 * @property {string} key what this login's pages can be asked for with instead of the cookie; '' where there is none
 * @property {() => boolean} beside
 * @property {(page: any, askedAt: number) => number} onPage says how many events it held
 * @property {() => void} onGone the login or the position is no more
 * @property {(why: string) => void} onFault
 */

/**
 * Asks for one page after another, one at a time, until it is closed.
 * @param {{ clock: Clock, fetch: typeof fetch, random: () => number }} env
 * @param {Pace} pace
 * @param {boolean} wake the first page says that the visitor is back
 * @param {PageHandlers} handlers
 * @returns {{ close(): void }}
 */
export function openPages(env, pace, wake, handlers) {
  const { clock, random } = env;
  let over = false;
  let failures = 0;
  let doubtful = wake ? DOUBTFUL_PAGES : 0;
  if (wake) pace.change(handlers.key !== '');
  let abort = new AbortController();
  /** @type {any} */
  let timer = null;

  /** @param {number} hold @returns {Promise<{ body?: any, why?: string, problem?: Problem | null }>} */
  const fetchPage = async (hold) => {
    abort = new AbortController();
    const stuck = clock.setTimeout(
      () => {
        doubtful = doubtful > 0 ? doubtful - 1 : DOUBTFUL_PAGES;
        pace.change(handlers.key !== '');
        abort.abort();
      },
      hold * 1000 + (doubtful > 0 ? DOUBTFUL_GRACE_MS : GRACE_MS),
    );
    try {
      const url = handlers.url({ wait: String(hold), wake: wake ? '1' : '' });
      const keyed = pace.keyed && handlers.key !== '';
      const response = await env.fetch(url, {
        headers: { Accept: 'application/json', ...(keyed && { 'X-Max-Auth-Key': handlers.key }) },
        ...(keyed && { credentials: 'omit' }),
        signal: abort.signal,
      });
      if (!response.ok) {
        const problem = await readProblem(response, clock.now());
        // Something on the way wants cookies or a password of its own: not without them, then.
        if (keyed && !problem.code) pace.change(true);
        return { why: `http ${problem.status} ${problem.code}`, problem };
      }
      const body = await readJson(response);
      return Array.isArray(body?.events) ? { body } : { why: 'not a page', problem: null };
    } catch (error) {
      return { why: `failed ${nameOf(error)}`, problem: null };
    } finally {
      clock.clearTimeout(stuck);
    }
  };

  /** What a good page says about the next one. @param {any} body @param {number} hold @param {number} askedAt @returns {number} ms to wait */
  const arrived = (body, hold, askedAt) => {
    const took = clock.now() - askedAt;
    failures = 0;
    doubtful = 0;
    wake = false;
    if (handlers.onPage(body, askedAt) > 0) return 0;
    if (took >= hold * 800) pace.full(hold);
    return took < 500 ? 1000 : 0; // something answers empty pages without holding them: do not spin
  };

  /** @param {Problem | null} problem @param {number} hold @param {number} took @param {boolean} doubted @returns {number} ms to wait */
  const failed = (problem, hold, took, doubted) => {
    const before = failures++;
    if (doubted && took >= 1000 && !problem) return 0;
    if (!doubted && (!problem || problem.status >= 502)) pace.cut(hold);
    if (problem?.retryAfter != null) return Math.min(problem.retryAfter, 30_000);
    // Cut in the middle of a hold: the hold was too long, the server is there. Ask again at once.
    const cut = took >= 1000 && before < QUICK_RETRIES && !overloadCode(problem);
    return cut ? random() * 200 : backoff(random, before);
  };

  const ask = async () => {
    const doubted = doubtful > 0;
    const hold = doubted ? DOUBTFUL_HOLD : pace.next(handlers.beside());
    const askedAt = clock.now();
    const { body, why, problem = null } = await fetchPage(hold);
    if (over) return;
    const took = clock.now() - askedAt;
    if (why !== undefined) handlers.onFault(why);
    if (isGone(problem)) return handlers.onGone();
    const pause = body ? arrived(body, hold, askedAt) : failed(problem, hold, took, doubted);
    if (over) return;
    if (pause > 0) timer = clock.setTimeout(() => void ask(), pause);
    else void ask();
  };
  void ask();

  return {
    close() {
      over = true;
      clock.clearTimeout(timer);
      abort.abort();
    },
  };
}
