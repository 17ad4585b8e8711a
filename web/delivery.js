// @ts-check
/**
 * Which transport delivers. Short polls run from the start, a WebSocket is opened beside them, and it takes over once it
 * has shown that what it carries comes IN TIME (lateness.js); where it cannot, an SSE stream is tried the same way; where
 * nothing lives, polling stays. A stream that falls behind gives its place back. Each resumes from the position of the
 * last event, so that nothing is lost, doubled or reordered on the way.
 *
 * A WebSocket that was in time and then falls silent may have met a network that lets some 25 packets through a connection
 * and drops the rest (docs/networks.md): from then on few marks are asked for, and each WebSocket is left before its end.
 */
import { isGone } from './answers.js';
import { recallWinner, rememberWinner } from './browser.js';
import { Judge } from './lateness.js';
import { Pace, openPages } from './pages.js';
import { nonce } from './reader.js';
import { openSse } from './sse.js';
import { SECOND, backoff } from './waits.js';
import { openSocket } from './websocket.js';

/** @typedef {import('./answers.js').Problem} Problem */
/** @typedef {import('./wire.js').Stream} Stream */
/** @typedef {import('./wire.js').Wire} Wire */
/** @typedef {'ws' | 'sse'} Kind */
/**
 * @typedef {object} DeliveryHandlers
 * @property {(wire: Wire) => void} onEvent may have come before
 * @property {(page: any) => number} onPage says how many events it held
 * @property {() => void} onGone the login or the position is no more
 */

const WS_OPEN_MS = 4 * SECOND; // for the first mark
const SSE_OPEN_MS = 3 * SECOND;
const WS_MARKS = 3; // in a row and in time: then it takes over
const TRIAL_MARKS = 3; // of the trial of an SSE stream
const TRIAL_MORE_MS = 100; // a trial lasts longer than lateness is suffered, or what is held to its end would look timely
const PARK_MS = 60 * SECOND; // how long a transport that failed is left alone; twice as long each time
const PARK_DOUBLINGS = 3;
const RARE_BEAT = 25; // seconds, where each packet counts
const FRUGAL_LIFE_MS = 40 * SECOND; // 25 packets: 14 for the beginning, 3 for a mark, 6 for the end of a login
const HURRY_MS = 3 * SECOND; // within which something follows an approval

export class Delivery {
  #env;
  #line;
  #reader;
  #failures;
  #handlers;

  /** @type {Stream | null} */
  #ws = null;
  /** @type {Stream | null} its trial, or itself */
  #sse = null;
  /** @type {Kind | null} the stream that delivers; while there is one nothing polls */
  #live = null;
  #liveSince = 0;
  #losses = 0;
  #wsFailures = 0;
  /** Each packet counts. */
  #frugal = false;
  #parked = { ws: { until: 0, times: 0, silences: 0 }, sse: { until: 0, times: 0, silences: 0 } };
  /** @type {any} */
  #openTimer = null;

  /** @type {{ close(): void } | null} */
  #pages = null;
  #pace = new Pace();

  /**
   * @param {ReturnType<typeof import('./browser.js').environment>} env its `fetch` sends cookies and asks no cache
   * @param {import('./lateness.js').Line} line
   * @param {import('./reader.js').Reader} reader nothing is opened while it has no login
   * @param {import('./failures.js').Failures} failures
   * @param {DeliveryHandlers} handlers
   */
  constructor(env, line, reader, failures, handlers) {
    this.#env = env;
    this.#line = line;
    this.#reader = reader;
    this.#failures = failures;
    this.#handlers = handlers;
  }

  /** Of a login that was begun. What failed on the previous page is not tried first on this one. */
  start() {
    const now = this.#env.clock.now();
    const kind = this.#parked.ws.until > now ? null : recallWinner(this.#env.storage, now);
    if (kind === 'frugal') this.#frugal = true;
    if (kind === 'sse' || kind === 'poll') this.#parked.ws.until = now + PARK_MS;
    if (kind === 'poll') this.#parked.sse.until = now + PARK_MS;
    this.#openBest();
    this.#poll();
  }

  /** Begins a login over a WebSocket. @param {object} message @param {(wire: Wire | null) => void} begun gets the first event, or null */
  begin(message, begun) {
    this.#openWs(`${this.#env.base}?beat=1`, message, begun);
  }

  /** The visitor is here again. @param {boolean} suspicious sockets of before are not to be believed */
  wake(suspicious) {
    if (!suspicious && this.#live === 'ws' && this.#ws?.send({ wake: true })) return;
    this.stop(4000, 'Resuming');
    this.#losses = 0;
    this.#openBest();
    this.#poll(true);
  }

  /** @param {number} code @param {string} reason */
  stop(code, reason) {
    this.#env.clock.clearTimeout(this.#openTimer);
    this.#ws?.close(code, reason);
    this.#sse?.close();
    this.#ws = this.#sse = this.#live = null;
    this.#stopPoll();
  }

  /** Starts asking for pages, where nothing better lives and nobody asks yet. @param {boolean} [wake] */
  #poll(wake = false) {
    if (this.#pages || this.#live || !this.#reader.login) return;
    this.#pages = openPages(this.#env, this.#pace, wake, {
      url: (query) => this.#uniqueUrl(query),
      key: this.#reader.key,
      beside: () => Boolean(this.#ws || this.#sse),
      onPage: (page, askedAt) => {
        this.#reader.proven = true;
        this.#line.answered(page, askedAt, this.#env.clock.now());
        return this.#handlers.onPage(page);
      },
      onGone: () => this.#handlers.onGone(),
      onFault: (why) => this.#failures.note('poll', why),
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
    if (!this.#reader.login || this.#live === 'ws' || this.#ws) return;
    const wait = this.#parked.ws.until - clock.now();
    if (wait <= 0) return this.#openWs(this.#eventsUrl({ beat: this.#frugal ? String(RARE_BEAT) : '1' }));
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
      this.#failures.note('ws', why);
      if (begun) return begin(null);
      if (this.#live === 'ws') return this.#lost('ws', why);
      this.#wsFailures += 1;
      const again = !['hang', 'refused'].includes(why) && this.#wsFailures < 2;
      if (again) return this.#openLater(backoff(this.#env.random, 0));
      this.#park('ws');
      this.#openBest();
    };
    const frugal = this.#frugal;
    const judge = this.#judge(frugal ? 1 : WS_MARKS, WS_OPEN_MS, {
      onProven: () => {
        this.#wsFailures = 0;
        this.#sse?.close();
        this.#sse = null;
        this.#goLive('ws');
        if (frugal) this.#leaveIn(FRUGAL_LIFE_MS);
      },
      onLate: (why) => {
        stream.close(4000, 'Resuming elsewhere');
        over(why === 'silent' && this.#live === 'ws' ? 'frozen' : why);
      },
    });
    const stream = openSocket(this.#env, address.replace(/^http/, 'ws'), startMessage, {
      onMark: (mark) => judge.mark(mark),
      onEvent: (wire) => {
        if (begun) begin(wire);
        if (frugal && /^(approved|finishing)$/.test(wire.data?.stage)) judge.hurry(HURRY_MS);
        this.#handlers.onEvent(wire);
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
      this.#failures.note('sse', why);
      if (isGone(problem ?? null)) return this.#handlers.onGone();
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
    const stream = openSse(this.#env, url, handlers);
    this.#sse = judged(stream, judge);
  }

  /** @param {boolean} padded */
  #openSse(padded) {
    /** @param {string} why @param {Problem} [problem] */
    const over = (why, problem) => {
      judge.stop();
      this.#sse = null;
      this.#failures.note('sse', why);
      if (isGone(problem ?? null)) return this.#handlers.onGone();
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
    const stream = openSse(this.#env, this.#uniqueUrl({ padded: padded ? '1' : '' }), {
      onMark: (mark) => judge.mark(mark),
      onEvent: (wire) => this.#handlers.onEvent(wire),
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
    this.#reader.proven = true;
    this.#live = kind;
    this.#liveSince = this.#env.clock.now();
    this.#stopPoll();
    this.#rememberWinner(this.#frugal && kind === 'ws' ? 'frugal' : kind);
  }

  /** The stream that delivered is gone, or behind: a page at once, and a new stream a little later. @param {Kind} kind @param {string} why */
  #lost(kind, why) {
    this.#live = null;
    if (this.#env.clock.now() - this.#liveSince >= 10 * SECOND) this.#losses = 0;
    const silent = why === 'silent' || why === 'frozen';
    if (why === 'frozen' && !this.#frugal) {
      this.#frugal = true;
      this.#losses = 0;
    } else if (why === 'late' || (silent && ++this.#parked[kind].silences > 1)) {
      // Silence may be a line that died. Again and again, and when what comes comes late, it is the way of this transport.
      this.#park(kind);
      if (kind === 'sse') this.#rememberWinner('poll');
    }
    this.#openLater(backoff(this.#env.random, this.#losses++));
    this.#poll();
  }

  /** Another WebSocket takes this one's place before it is used up. @param {number} ms */
  #leaveIn(ms) {
    const { clock } = this.#env;
    clock.clearTimeout(this.#openTimer);
    this.#openTimer = clock.setTimeout(() => {
      if (this.#live !== 'ws') return;
      this.stop(4000, 'Resuming');
      this.#openBest();
      this.#poll();
    }, ms);
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

  /** An address that no cache has seen: in the path, because some leave the query out of their key. @param {Record<string, string>} query */
  #uniqueUrl(query) {
    return this.#eventsUrl(query, nonce(this.#env.random));
  }

  /** @param {Record<string, string>} query @param {string} [unique] */
  #eventsUrl(query, unique) {
    // What failed goes along, so that the operator's metrics show it.
    const failed = this.#failures.takeUntold();
    return this.#reader.eventsUrl(this.#env.base, { ...query, failed }, unique);
  }

  /** @param {import('./browser.js').Winner} kind */
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
