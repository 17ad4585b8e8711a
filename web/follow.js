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
const PAUSE_MS = 500; // between two new connections: four at once is what some networks wait for
const PARK_MS = 30_000; // for a WebSocket that does not open; twice as long each time
const PING_MS = 11_000; // Chromium asks whether an HTTP/2 connection lives before the first request after 10 s without a byte,
const PING_TIMEOUT_MS = 10_000; // and waits so long
const LOSSES_MAX = 3; // so many in a row, and pages carry it for a while

/**
 * @param {string} base
 * @param {{ login?: string, key?: string, after?: string }} begun
 * @param {(event: string, data: any) => void} tell events of the login, `gone` when the server does not know it any more,
 *   `line` with whether it is reached
 * @param {object} [message] begins a login, where there is none yet
 * @param {() => Promise<typeof import('./asking.js')>} [load] what asks for pages; for tests
 */
export function follow(
  base,
  { login = '', key = '', after = '' },
  tell,
  message,
  load = () => import(`${base}/asking.js`),
) {
  /** @type {any} the WebSocket that carries, and the one that is to */
  let live = null;
  /** @type {any} */
  let opening = null;
  /** @type {{ close(): void } | null} */
  let asking = null;
  let [over, hurry, woken, cut] = [false, false, false, false];
  let [losses, parked] = [0, 0];
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
    if (over) return;
    login ||= data?.login ?? '';
    // Nothing was begun, and why.
    if (!epoch && !login && event === 'error') return (stop(), tell(event, data));
    if (!epoch) return;
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
    const address = login ? url({ heartbeat: BEAT }) : `${base}?drawing=png&heartbeat=${BEAT}`;
    const socket = new WebSocket(address.replace(/^http/, 'ws'));
    if (!login) socket.onopen = () => socket.send(JSON.stringify(message));
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
        if (cut) line(true);
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
    asking?.close();
    asking = null;
  };

  /** Pages, by a module of its own: where WebSockets pass, which is nearly everywhere, nobody waits for it. */
  const ask = async () => {
    const { openPages } = await load().catch(() => ({ openPages: null }));
    if (over || asking || live) return;
    if (!openPages) {
      if (login) return line(false);
      stop();
      return tell('refused', null);
    }
    asking = openPages({
      base,
      login,
      key,
      message,
      woken,
      url,
      failed,
      position: () => after,
      take,
      gone,
      tell,
      begun,
      line,
    });
    woken = false;
  };

  /** @param {boolean} reached */
  const line = (reached) => {
    cut = !reached;
    tell('line', { reached });
  };

  /** @param {string} id @param {string} secret */
  const begun = (id, secret) => {
    login = id;
    key = secret;
  };

  open();
  return {
    stop,
    /** The visitor is back, perhaps on another network: nothing of before is trusted. */
    wake: () => {
      if (over) return;
      woken = true;
      losses = 0;
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
    /** Gives the login up. */
    discard: () => {
      stop();
      if (login)
        fetch(`${base}/${login}`, { method: 'DELETE', credentials: 'include', keepalive: true }).catch(() => {});
    },
    /** For the server's metrics. @param {string} what */
    report: (what) => void failed.push(what),
  };
}

/**
 * Leads Chromium to give up an HTTP/2 connection that has frozen, by a question that is withdrawn before it would be asked
 * again on a new one: the visitor is sent on over that new one.
 * @param {string} base @param {{ login?: string, after?: string }} begun @param {number} since how long it has been silent, ms
 */
export function leaveFrozen(base, { login, after = '' }, since) {
  const ask = () =>
    fetch(`${base}/${login}/events?wait=0&after=${after}`, { signal: AbortSignal.timeout(PING_TIMEOUT_MS - 2000) });
  setTimeout(() => void ask().catch(() => {}), PING_MS - since);
}

/** "EPOCH-OFFSET" @param {string} id @returns {[string, number]} */
function positionOf(id) {
  const cut = id.lastIndexOf('-');
  return cut > 0 ? [id.slice(0, cut), Number(id.slice(cut + 1))] : ['', -1];
}
