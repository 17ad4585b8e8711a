// @ts-check
/** Pages, for follow.js where no WebSocket lives: by turns over the connections with cookies and those without. */

/** @typedef {import('./follow.js').Message} Message */
/**
 * @typedef {object} Context
 * @property {string} base
 * @property {string} login '' where the first page is to begin one
 * @property {string} key
 * @property {object | undefined} message what begins one
 * @property {boolean} woken the visitor is back
 * @property {(more: Record<string, string | number>) => string} url
 * @property {string[]} failed what the server is to be told
 * @property {() => string} position
 * @property {(message: Message) => void} take
 * @property {() => void} gone
 * @property {(event: string, data: any) => void} tell
 * @property {(login: string, key: string) => void} begun
 * @property {(reached: boolean) => void} line
 */

const HOLD = 10; // seconds for which a page may wait for news; halved by what cuts it
const GRACE_MS = 4000; // a page that is not there so long after is stuck
const FAULTS_MAX = 2; // so many in a row, and the visitor is told

/**
 * Asks for one page after another until it is closed.
 * @param {Context} context
 * @returns {{ close(): void }}
 */
export function openPages({ base, login, key, message, woken, url, failed, position, take, gone, tell, begun, line }) {
  let [over, keyed, faults, hold] = [false, false, 0, HOLD];
  let abort = () => {};

  /** Gives how many milliseconds to wait before the next one. */
  const page = async () => {
    const askedAt = Date.now();
    const request = new AbortController();
    abort = () => request.abort();
    // Behind a fault a short one, which tells sooner whether anything lives.
    const wait = faults ? 1 : hold;
    const stuck = setTimeout(abort, wait * 1000 + (faults ? 1500 : GRACE_MS));
    let answered = false;
    try {
      const response = await fetch(url({ wait, wake: woken ? 1 : '' }), {
        cache: 'no-store',
        signal: request.signal,
        headers: { Accept: 'application/json', ...(keyed && { 'X-Max-Auth-Key': key }) },
        credentials: keyed ? 'omit' : 'include',
      });
      const { events, code } = await response.json();
      answered = true;
      if (over) return 0;
      if (code === 'login-not-found' || code === 'position-gone') gone();
      if (events) {
        if (faults > FAULTS_MAX) line(true);
        faults = 0;
        woken = false;
        const before = position();
        for (const one of events.sort(byOffset)) take(one);
        // Something answers without waiting: do not spin.
        return before === position() && Date.now() - askedAt < 500 ? 1000 : 0;
      }
    } catch {
      // Below.
    } finally {
      clearTimeout(stuck);
    }
    if (over) return 0;
    failed.push('poll.failed');
    if (faults++ === FAULTS_MAX) line(false);
    const took = Date.now() - askedAt;
    if (took >= 1000 && wait > 1) hold = Math.ceil(hold / 2);
    // The connections of the one kind may all be dead, and of the other not.
    if (!answered) keyed = !keyed && key !== '';
    return took >= 1000 ? 50 : Math.min(8000, 500 * 2 ** faults) * (0.5 + Math.random() / 2);
  };

  const begin = async () => {
    const body = JSON.stringify(message);
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch(base, { method: 'POST', body, headers, credentials: 'include' }).catch(() => null);
    const answer = await response?.json().catch(() => null);
    if (answer?.login) begun((login = answer.login), (key = answer.key ?? ''));
    else if (!over) {
      over = true;
      tell('refused', answer);
    }
  };

  const run = async () => {
    if (!login) await begin();
    while (!over) {
      const pause = await page();
      if (pause) await new Promise((go) => setTimeout(go, pause));
    }
  };
  void run();

  return {
    close() {
      over = true;
      abort();
    },
  };
}

/** @param {Message} a @param {Message} b */
const byOffset = (a, b) => offsetOf(a) - offsetOf(b);
/** @param {Message} message */
const offsetOf = ({ id = '' }) => Number(id.slice(id.lastIndexOf('-') + 1));
