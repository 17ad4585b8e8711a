// @ts-check
/**
 * The wire, seen from a browser: positions, problem bodies and the three transports. A WebSocket and an SSE stream look
 * the same from outside: they say `onMark` for each mark of the server (lateness.js), `onEvent` for each event, and `onEnd`
 * once when they are over. Pages work everywhere and go on until they are closed. What to do about all of it is decided
 * in client.js.
 */

/** @typedef {{ id?: string, event: string, data?: any }} Wire */
/** @typedef {{ status: number, code: string, message: string, retryAfter: number | null }} Problem */
/** @typedef {{ now(): number, setTimeout(f: () => void, ms: number): any, clearTimeout(id: any): void }} Clock */
/**
 * @typedef {object} StreamHandlers
 * @property {(mark: import('./lateness.js').Mark) => void} onMark
 * @property {(wire: Wire) => void} onEvent
 * @property {(why: string, problem?: Problem) => void} onEnd at most once, and never after `close()`
 */
/**
 * @typedef {object} Stream
 * @property {(message: object) => boolean} send false where the transport cannot send
 * @property {(code?: number, reason?: string) => void} close
 */

/**
 * "EPOCH-OFFSET"; the epoch may itself hold dashes.
 * @param {unknown} id
 * @returns {{ epoch: string, offset: number } | null}
 */
export function parsePosition(id) {
  if (typeof id !== 'string') return null;
  const cut = id.lastIndexOf('-');
  const tail = id.slice(cut + 1);
  if (cut < 1 || !/^\d{1,15}$/.test(tail)) return null;
  return { epoch: id.slice(0, cut), offset: Number(tail) };
}

/**
 * Reads an answer that is not the wished one. A body that is no problem document (a proxy's HTML page) gives code "".
 * @param {Response} response
 * @param {number} now
 * @returns {Promise<Problem>}
 */
export async function readProblem(response, now) {
  const body = await readJson(response);
  const text = (/** @type {unknown} */ value) => (typeof value === 'string' ? value : '');
  return {
    status: response.status,
    code: text(body?.code),
    message: text(body?.detail) || text(body?.title),
    retryAfter: parseRetryAfter(response.headers.get('retry-after'), now),
  };
}

/**
 * @param {Response} response
 * @returns {Promise<any>} null when the body is not a JSON object
 */
export async function readJson(response) {
  try {
    const body = JSON.parse(await response.text());
    return body && typeof body === 'object' ? body : null;
  } catch {
    return null;
  }
}

/**
 * @param {string | null} header seconds, or an HTTP date
 * @param {number} now
 */
function parseRetryAfter(header, now) {
  if (!header) return null;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

/** The server's heartbeat. */
const BEAT_MS = 10_000;

const GONE = new Set(['position-gone', 'login-not-found']);
const OVERLOAD = new Set(['rate-limited', 'busy']);

/** @param {unknown} code */
export function isGoneCode(code) {
  return GONE.has(/** @type {string} */ (code));
}

/** @param {Problem | null} problem */
export function isGone(problem) {
  return problem !== null && (problem.status === 404 || problem.status === 410) && GONE.has(problem.code);
}

/**
 * "Not now" said by the server itself, as against a proxy that cannot reach it.
 * @param {Problem | null} problem
 */
export function overloadCode(problem) {
  if (!problem) return '';
  if (OVERLOAD.has(problem.code)) return problem.code;
  if (problem.status === 429) return 'rate-limited';
  return problem.status === 503 && problem.retryAfter !== null ? 'busy' : '';
}

/** @param {unknown} error */
export function nameOf(error) {
  return error instanceof Error ? error.name : '';
}

/** 0.5 s × 2^n, at most 10 s, the upper half of it by chance. @param {() => number} random @param {number} n */
export function backoff(random, n) {
  return Math.min(10_000, 500 * 2 ** n) * (0.5 + random() / 2);
}

/** Makes an address unique, against caches that do not ask whether they may. @param {() => number} random */
export function nonce(random) {
  return Math.floor(random() * 2 ** 40).toString(36);
}

/**
 * @param {{ clock: Clock, WebSocket: any }} env
 * @param {string} url
 * @param {object | null} hello the first message, where the address does not say it all
 * @param {StreamHandlers} handlers
 * @returns {Stream}
 */
export function openSocket(env, url, hello, handlers) {
  let over = false;
  /** @type {any} */
  let socket = null;

  /** @param {string} why */
  const end = (why) => {
    if (over) return;
    release(4000, 'Resuming elsewhere');
    handlers.onEnd(why);
  };
  /** @param {number} code @param {string} reason */
  const release = (code, reason) => {
    over = true;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // the ws package throws an error that nobody hears
    try {
      socket.close(code, reason);
    } catch {
      // already closed
    }
  };

  try {
    socket = new env.WebSocket(url);
  } catch {
    // A policy of the page (CSP, mixed content) refuses: report it like any other failure, never inside this call.
    env.clock.setTimeout(() => end('refused'), 0);
  }
  if (socket) {
    socket.onopen = () => hello && socket.send(JSON.stringify(hello));
    socket.onmessage = (/** @type {{ data: unknown }} */ message) => {
      if (over) return;
      const wire = parseWire(message.data);
      if (wire?.event === 'beat') handlers.onMark(markOf(wire));
      else if (wire) handlers.onEvent(wire);
    };
    socket.onclose = (/** @type {{ code: number }} */ event) => end(`closed ${event.code}`);
    socket.onerror = () => {}; // a close always follows
  }

  return {
    send(message) {
      if (over || socket?.readyState !== 1) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    close: (code = 1000, reason = 'Client closed') => {
      if (!over) release(code, reason);
    },
  };
}

/**
 * Server-sent events by `fetch`, because an EventSource hides what a broken answer was.
 * @param {{ clock: Clock, fetch: typeof fetch }} env
 * @param {string} url
 * @param {StreamHandlers} handlers
 * @returns {Stream}
 */
export function openSse(env, url, handlers) {
  let over = false;
  const abort = new AbortController();
  const release = () => {
    over = true;
    abort.abort();
  };
  /** @param {string} why @param {Problem} [problem] */
  const end = (why, problem) => {
    if (over) return;
    release();
    handlers.onEnd(why, problem);
  };
  const parser = sseParser(
    (mark) => {
      if (!over) handlers.onMark(mark);
    },
    (wire) => {
      if (!over) handlers.onEvent(wire);
    },
  );

  const read = async () => {
    const response = await env.fetch(url, {
      headers: { Accept: 'text/event-stream' },
      credentials: 'include',
      cache: 'no-store',
      signal: abort.signal,
    });
    if (!response.ok) return end(`http ${response.status}`, await readProblem(response, env.clock.now()));
    const type = response.headers.get('content-type') ?? '';
    if (!type.startsWith('text/event-stream') || !response.body) return end('not a stream');
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (over) return;
      if (done) return end('ended');
      parser(decoder.decode(value, { stream: true }));
    }
  };
  read().catch((error) => end(`failed ${nameOf(error)}`));

  return {
    send: () => false,
    close: () => {
      if (!over) release();
    },
  };
}

/**
 * An incremental parser of text/event-stream. A mark is a comment of two numbers.
 * @param {(mark: import('./lateness.js').Mark) => void} onMark
 * @param {(wire: Wire) => void} onEvent
 * @returns {(text: string) => void}
 */
export function sseParser(onMark, onEvent) {
  let rest = '';
  let id = '';
  let event = '';
  /** @type {string[]} */
  let data = [];

  /** @param {string} line */
  const take = (line) => {
    if (line === '') {
      const body = data.length ? parseBody(data.join('\n')) : undefined;
      if (event && body !== undefined) onEvent({ id, event, data: body });
      event = '';
      data = [];
      return;
    }
    const mark = line.match(/^: (\d{1,15}) (\d{1,9})$/);
    if (mark) return onMark({ sent: Number(mark[1]), next: Number(mark[2]) });
    const cut = line.indexOf(':'); // 0 for a comment: a field without a name, which nothing below takes
    const field = cut < 0 ? line : line.slice(0, cut);
    const value = cut < 0 ? '' : line.slice(cut + (line[cut + 1] === ' ' ? 2 : 1));
    if (field === 'id') id = value;
    else if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
  };

  return (text) => {
    rest += text;
    for (;;) {
      const cut = rest.search(/[\r\n]/);
      // A CR at the very end may be the first half of a CRLF: wait for what follows.
      if (cut < 0 || (rest[cut] === '\r' && cut === rest.length - 1)) return;
      const line = rest.slice(0, cut);
      rest = rest.slice(cut + (rest.startsWith('\r\n', cut) ? 2 : 1));
      take(line);
    }
  };
}

/** @param {any} beat one without numbers tells that something comes, and no more @returns {import('./lateness.js').Mark} */
function markOf({ sent, next }) {
  return { sent: Number.isFinite(sent) ? sent : NaN, next: Number.isFinite(next) ? next : BEAT_MS };
}

/** @param {string} text */
function parseBody(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * @param {unknown} text
 * @returns {Wire | null}
 */
export function parseWire(text) {
  if (typeof text !== 'string') return null;
  const wire = parseBody(text);
  return wire && typeof wire.event === 'string' ? wire : null;
}

// ---- pages ------------------------------------------------------------------------------------------------------------

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
