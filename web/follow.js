// @ts-check
/**
 * One login, followed to its end with as little as can be: for the ready page, which must fit into one answer.
 *
 * Some networks let 25 packets or 16 KB of a connection through and drop the rest in silence (docs/networks.md), so a
 * connection is not trusted for long. A WebSocket, which is always a connection of its own, carries the events; it is
 * replaced before it can have used up what such a network allows, and given up when a heartbeat is overdue. Where none
 * lives, pages are asked for, by turns over the connections with cookies and those without.
 */

/** @typedef {{ id?: string, event: string, data?: any, next?: number }} Message */
const BEAT = 25; // seconds; proxies cut after 30 s of silence and more
const LATE_MS = 3000; // what is so late is not on its way
const FIRST_MS = 2500; // for the first message
const LIFE_MS = 40_000; // of a WebSocket: 25 packets are 14 for its beginning, 3 for a heartbeat, 6 for the end of a login
const HOLD = 10; // seconds for which a page may wait for news; halved by what cuts it
const GRACE_MS = 4000; // a page that is not there so long after is stuck
const PAUSE_MS = 500; // between two new connections: four at once is what some networks wait for
const PARK_MS = 30_000; // for a WebSocket that does not open; twice as long each time
const LOSSES_MAX = 3; // so many in a row, and pages carry it for a while

/**
 * @param {string} base
 * @param {{ login: string, key?: string, after?: string }} begun
 * @param {(event: string, data: any) => void} tell events of the login, `gone` when the server does not know it any more,
 *   `line` with whether it is reached
 */
export function follow(base, { login, key = '', after = '' }, tell) {
  /** @type {any} the WebSocket that carries, and the one that is to */
  let live = null;
  /** @type {any} */
  let opening = null;
  /** @type {{ abort(): void } | null} */
  let asking = null;
  let [over, hurry, keyed] = [false, false, false];
  let [losses, parked, faults, hold, wake] = [0, 0, 0, HOLD, 0];
  /** @type {any} */
  let timer = null;
  /** @type {string[]} what went wrong, for the server's metrics */
  const failed = [];
  const [epoch, offset] = positionOf(after);
  const seen = { epoch, offset };

  /** @param {Record<string, string | number>} more */
  const url = (more) => {
    const query = new URLSearchParams({ drawing: 'png', after });
    for (const [name, value] of Object.entries({ ...more, failed: failed.splice(0).join() }))
      if (value) query.set(name, String(value));
    // A path of its own, for caches that leave the query out of their key.
    return `${base}/${login}/events/${Math.floor(Math.random() * 2 ** 40).toString(36)}?${query}`;
  };

  const stop = () => {
    over = true;
    clearTimeout(timer);
    for (const socket of [live, opening]) socket?.drop(1000);
    stopAsking();
  };

  /** @param {Message} message */
  const take = ({ id, event, data }) => {
    const [epoch, offset] = positionOf(id ?? '');
    if (over || !epoch) return;
    if (seen.epoch && epoch !== seen.epoch) return gone();
    if (offset <= seen.offset) return;
    Object.assign(seen, { epoch, offset });
    after = /** @type {string} */ (id);
    // What follows now comes within a second or two.
    hurry = data?.stage === 'approved' || data?.stage === 'finishing';
    if (event === 'error' && data?.code === 'visitor-left') return gone();
    if (event === 'success' || event === 'error') stop();
    tell(event, data ?? {});
  };

  const gone = () => {
    if (over) return;
    stop();
    tell('gone', {});
  };

  /** @param {number} ms */
  const openIn = (ms) => {
    clearTimeout(timer);
    if (!over) timer = setTimeout(open, ms);
  };

  const open = () => {
    if (over || opening) return;
    /** @type {any} */
    let due = null;
    let heard = false;
    const openedAt = Date.now();
    const socket = new WebSocket(url({ heartbeat: BEAT }).replace(/^http/, 'ws'));
    const drop = (/** @type {number} */ code) => {
      clearTimeout(due);
      socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close(code);
      if (live === carrier) live = null;
      if (opening === carrier) opening = null;
    };
    const carrier = (opening = { drop });

    /** @param {string} why */
    const lost = (why) => {
      const wasLive = live === carrier;
      drop(4000);
      failed.push(`ws.${why}`);
      if (!heard) return ((losses = LOSSES_MAX), park());
      // Another one carries already.
      if (!wasLive) return;
      losses = Date.now() - openedAt > 10_000 ? 1 : losses + 1;
      if (losses >= LOSSES_MAX) return park();
      openIn(PAUSE_MS * losses);
      ask();
    };
    /** @param {number} ms @param {string} why */
    const expect = (ms, why) => {
      clearTimeout(due);
      const at = Date.now() + ms;
      // A page that was asleep itself gives what waits in its queue a chance.
      due = setTimeout(() => (Date.now() - at > 1000 ? expect(LATE_MS, why) : lost(why)), ms);
    };

    socket.onmessage = (/** @type {{ data: string }} */ { data }) => {
      /** @type {Message} */
      let message;
      try {
        message = JSON.parse(data);
      } catch {
        return; // not from our server
      }
      if (!heard) {
        heard = true;
        live?.drop(1000);
        [live, opening, parked] = [carrier, null, 0];
        stopAsking();
        reached();
        openIn(LIFE_MS);
      }
      if (message.event !== 'beat') take(message);
      expect(hurry ? LATE_MS : (message.next ?? BEAT * 1000) + LATE_MS, 'frozen');
    };
    socket.onclose = () => lost('closed');
    expect(FIRST_MS, 'hang');
  };

  /** Pages carry it; a WebSocket is tried again later. */
  const park = () => {
    openIn(PARK_MS * 2 ** Math.min(parked++, 3));
    if (losses >= LOSSES_MAX) losses = 0;
    if (!live) ask();
  };

  const stopAsking = () => {
    asking?.abort();
    asking = null;
  };

  const reached = () => {
    if (faults > 1) tell('line', { reached: true });
    faults = 0;
  };

  const ask = async () => {
    if (over || asking) return;
    const mine = (asking = { abort() {} });
    while (asking === mine) {
      const pause = await page(mine);
      if (pause) await new Promise((go) => setTimeout(go, pause));
    }
  };

  /** One page. Gives how many milliseconds to wait before the next one. @param {{ abort(): void }} mine */
  const page = async (mine) => {
    const askedAt = Date.now();
    const request = new AbortController();
    mine.abort = () => request.abort();
    // Behind a fault a short one, which tells sooner whether anything lives.
    const wait = faults ? 1 : hold;
    const stuck = setTimeout(mine.abort, wait * 1000 + (faults ? 1500 : GRACE_MS));
    let answered = false;
    try {
      const response = await fetch(url({ wait, wake }), {
        cache: 'no-store',
        signal: request.signal,
        headers: { Accept: 'application/json', ...(keyed && { 'X-Max-Auth-Key': key }) },
        credentials: keyed ? 'omit' : 'include',
      });
      const { events, code } = await response.json();
      answered = true;
      if (asking !== mine) return 0;
      if (code === 'login-not-found' || code === 'position-gone') gone();
      if (events) {
        reached();
        wake = 0;
        const before = after;
        for (const message of events.sort(byOffset)) take(message);
        // Something answers without waiting: do not spin.
        return before === after && Date.now() - askedAt < 500 ? 1000 : 0;
      }
    } catch {
      // Below.
    } finally {
      clearTimeout(stuck);
    }
    if (asking !== mine) return 0;
    failed.push('poll.failed');
    if (faults++ === 2) tell('line', { reached: false });
    const took = Date.now() - askedAt;
    if (took >= 1000 && wait > 1) hold = Math.ceil(hold / 2);
    // The connections of the one kind may all be dead, and of the other not.
    if (!answered) keyed = !keyed && key !== '';
    return took >= 1000 ? 50 : Math.min(8000, 500 * 2 ** faults) * (0.5 + Math.random() / 2);
  };

  open();
  return {
    stop,
    /** The visitor is back, perhaps on another network: nothing of before is trusted. */
    wake: () => {
      if (over) return;
      wake = 1;
      losses = faults = 0;
      for (const socket of [live, opening]) socket?.drop(4000);
      stopAsking();
      open();
      ask();
    },
    /** The page is put aside and may come back. */
    rest: () => {
      for (const socket of [live, opening]) socket?.drop(4001);
      stopAsking();
    },
    /** For the server's metrics. @param {string} what */
    report: (what) => void failed.push(what),
  };
}

/** "EPOCH-OFFSET" @param {string} id @returns {[string, number]} */
function positionOf(id) {
  const cut = id.lastIndexOf('-');
  return cut > 0 ? [id.slice(0, cut), Number(id.slice(cut + 1))] : ['', -1];
}

/** @param {Message} a @param {Message} b */
const byOffset = (a, b) => positionOf(a.id ?? '')[1] - positionOf(b.id ?? '')[1];
