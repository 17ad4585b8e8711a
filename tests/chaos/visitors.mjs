// Visitors of a site where things go wrong, each with a phone: one runs the browser's own module, one reads by hand and
// comes back at another node each time. What they see goes into the ledger.

import { sseParser } from '../../web/sse.js';
import { BrowserLike } from '../harness/client.mjs';
import { pause } from '../harness/time.mjs';
import { TERMINAL, USER_AGENT, Visitor, WAYS_BACK, trackOf } from '../harness/visitor.mjs';
import { position } from './ledger.mjs';

/** One try of a request, in ms: a halted node answers nobody. */
const PATIENCE = 4000;

/**
 * What a visitor tries again after. `grant-invalid`: the answer to the page that took the grant was lost, with the session
 * in it; a grant is not given twice.
 */
const AGAIN = ['busy', 'network', 'grant-invalid'];

/** Who begins, how, and what they do with their phone. */
export function drawPlan(chance) {
  return {
    kind: chance.happens(0.6) ? 'client' : 'reader',
    transport: chance.pick(['ws', 'ws', 'sse', 'page']),
    thinkMs: chance.between(200, chance.happens(0.3) ? 15_000 : 4000),
    declines: chance.happens(0.1) ? 1 : 0,
    cancels: chance.happens(0.1),
    secondTab: chance.happens(0.3),
  };
}

class Someone {
  /** `success`, `cancelled`, or the code of an error; undefined while it goes on. */
  outcome;
  attempts = 0;
  /** Logins that the server forgot, and when. */
  lost = [];
  /** Errors that were told, and tried again after. */
  refused = [];
  /** When each code was seen. */
  codesAt = [];
  log = [];

  /** @param {object} world {ledger, site, base, emulator, chance, nodes, tells} */
  constructor(name, plan, world) {
    Object.assign(this, { name, plan, world });
    this.began = performance.now();
  }

  note(text) {
    this.log.push(`${Math.round(performance.now() - this.world.began)} ${text}`);
    if (this.log.length > 60) this.log.splice(10, 1);
  }

  fault(text) {
    this.world.ledger.fault(`${this.name}: ${text}`);
  }

  /** What MAX calls the device: it tells the codes of one login from those of others. Another one each time. */
  userAgent() {
    this.starts = (this.starts ?? 0) + 1;
    return { ...USER_AGENT, deviceName: `${this.name} start ${this.starts}` };
  }

  sees(event, data) {
    this.note(event === 'status' ? data.stage : event === 'error' ? `error ${data.code}` : event);
    if (event !== 'qr') return;
    this.codesAt.push(performance.now());
    this.track = trackOf({ data });
  }

  /** Looks at the newest code again and again, as people do, until this login is over. */
  async phone() {
    await pause(this.plan.thinkMs);
    let { declines } = this.plan;
    let done;
    while (this.outcome === undefined) {
      const { track } = this;
      if (this.plan.cancels && this.codesAt.length > 0) await this.cancel();
      else if (track && track !== done) {
        const says = declines > 0 ? this.world.emulator.decline(track) : this.world.emulator.approve(track);
        // A code that is dead: the next one will be there soon.
        const heard = await says.then(
          () => true,
          () => false,
        );
        if (heard) {
          declines -= 1;
          done = track;
          this.note('phone');
        }
      }
      await pause(300);
    }
  }

  /** The same browser at one node, past the balancer. */
  at(node, jar) {
    return new Visitor(node.base, { jar, origin: this.world.site.address });
  }

  /** A request to one node after the other, until somebody has an answer of its own. */
  async answered(jar, ask, tries = 80) {
    let doubtful = false;
    for (let number = 0; number < tries; number++) {
      const answer = await ask(this.at(this.world.chance.pick(this.world.site.nodes), jar)).catch(() => null);
      if (answer && answer.status < 500) return { answer, doubtful };
      doubtful = true;
      await pause(300);
    }
    this.fault('no node answers');
    return { answer: null, doubtful };
  }

  /** A grant is there once, whoever asks, at whatever node. */
  async redeem(jar, token, taken) {
    const ask = (visitor) => visitor.request('/callback', { method: 'POST', json: { token }, ms: PATIENCE });
    const all = await Promise.all([0, 1, 2].map(() => this.answered(jar.copy(), ask)));
    const given = all.filter(({ answer }) => answer?.status === 200).length;
    const refused = all.filter(({ answer }) => answer?.status === 400).length;
    const expected = taken ? 0 : 1;
    if (given > expected) this.fault(`its grant was taken ${given + (taken ? 1 : 0)} times`);
    if (given + refused < all.length) this.fault(`callback: ${all.map(({ answer }) => answer?.status)}`);
    // Taken by a request whose answer was lost, or lost with the store: nobody knows.
    const doubtful = all.some(({ doubtful }) => doubtful) || this.world.storeWasLost();
    if (given < expected && !doubtful) this.fault('its grant cannot be taken');
  }

  /** The whole login, at each node that answers: the same for all. */
  async readAgain(jar, login) {
    for (const node of this.world.site.nodes) {
      const page = await this.at(node, jar)
        .request(`/${login}/events?wait=0`, { ms: PATIENCE })
        .catch(() => null);
      if (page?.status !== 200) continue;
      for (const event of page.json.events) this.world.ledger.saw(`${this.name} again at ${node.name}`, event);
    }
  }

  /** True when the visitor begins anew. */
  async ends(code, retryAfter) {
    if (AGAIN.includes(code) || this.world.tells().includes(code)) {
      this.refused.push(code);
      if (this.attempts > 25) return this.over(code);
      await pause(Math.min(retryAfter ?? 1000, 1500));
      return true;
    }
    this.over(code);
    return false;
  }

  over(code) {
    this.outcome = code;
    this.note(`over: ${code}`);
    const fine = code === 'success' || (code === 'cancelled' && this.plan.cancels);
    if (!fine) this.fault(`it ended as ${code}`);
    return false;
  }

  /** The server does not know the login, or the position. */
  loses() {
    this.note('gone');
    this.lost.push(performance.now());
    if (!this.world.storeWasLost()) this.fault('its login was lost, and no store was');
  }

  async run() {
    const phone = this.phone();
    while (this.outcome === undefined) {
      this.attempts += 1;
      this.track = undefined;
      if (!(await this.attempt())) break;
    }
    await phone;
  }
}

/** What does not work in this browser. */
class Refusing {
  constructor() {
    throw new Error('no WebSocket here');
  }
}

/** The browser's module. What it tells is compared with what came to it. */
export class ClientVisitor extends Someone {
  #told = [];
  #epochs = [];

  #browser() {
    const { world, plan } = this;
    const browser = new BrowserLike(world.site.address);
    const saw = (wire) => {
      if (!position(wire?.id)) return;
      world.ledger.saw(this.name, wire);
      if (wire.data?.login && !this.#epochs.some(([login]) => login === wire.data.login)) {
        this.#epochs.push([wire.data.login, position(wire.id).epoch]);
      }
    };
    // A start whose answer is lost is sent again, and both begin.
    const begun = (text) => {
      const message = JSON.parse(text);
      return message.userAgent ? JSON.stringify({ ...message, userAgent: this.userAgent() }) : text;
    };
    const Plain = browser.WebSocket;
    browser.WebSocket =
      plan.transport !== 'ws'
        ? Refusing
        : class extends Plain {
            constructor(url) {
              super(url);
              this.on('message', (text) => saw(JSON.parse(text.toString())));
            }

            send(text) {
              super.send(begun(text));
            }
          };
    const plain = browser.fetch;
    browser.fetch = async (url, init = {}) => {
      const wantsStream = /event-stream/.test(init.headers?.Accept ?? '');
      if (wantsStream && plan.transport === 'page') throw new TypeError('no streams here');
      const response = await plain(url, init.body ? { ...init, body: begun(init.body) } : init);
      if (!response.ok || !response.body) return response;
      if (!wantsStream) {
        const text = await response.text();
        for (const event of JSON.parse(text || '{}').events ?? []) saw(event);
        return new Response(text || null, { status: response.status, headers: response.headers });
      }
      const [decoder, parse] = [new TextDecoder(), sseParser(() => {}, saw)];
      const body = response.body.pipeThrough(
        new TransformStream({
          transform(chunk, controller) {
            parse(decoder.decode(chunk, { stream: true }));
            controller.enqueue(chunk);
          },
        }),
      );
      return new Response(body, { status: response.status, headers: response.headers });
    };
    return browser;
  }

  async cancel() {
    this.note('closes the dialog');
    this.stop();
  }

  async attempt() {
    const browser = this.#browser();
    this.#told = [];
    this.#epochs = [];
    const end = await new Promise((resolve) => {
      this.stop = () => resolve(null);
      browser.start(
        this.world.base,
        (event, data) => {
          this.#told.push({ event, data });
          this.sees(event, data);
          if (TERMINAL.includes(event)) resolve({ event, data });
        },
        { redeem: true, locale: 'ru' },
      );
    });
    browser.stop();
    this.#check(end);
    const again = await this.#conclude(browser, end);
    // The DELETE of a stopped client has a moment to leave.
    setTimeout(() => browser.close().catch(() => {}), 500);
    return again;
  }

  async #conclude(browser, end) {
    if (end === null) return this.over('cancelled');
    if (end.event === 'error') return this.ends(end.data.code, end.data.retryAfter);
    if (!end.data.session?.sub) this.fault(`success without a session: ${JSON.stringify(end.data)}`);
    await this.redeem(browser.jar, end.data.token, true);
    const [login] = this.#epochs.at(-1) ?? [];
    if (login) await this.readAgain(browser.jar, login);
    return this.over('success');
  }

  /** One login after the other, each from its first event. */
  #check(end) {
    const parts = [];
    for (const each of this.#told) {
      if (each.data.login) parts.push([each.data.login, []]);
      // What the client says itself has no place in a log; nor what refuses a login before there is one.
      const own = each === this.#told.at(-1) && each.event === 'error';
      if (parts.length > 0 && !own) parts.at(-1)[1].push(this.#asSent(each));
    }
    for (const [login, told] of parts) {
      const epoch = this.#epochs.find(([known]) => known === login)?.[1];
      if (epoch) this.world.ledger.told(this.name, epoch, told);
      else this.fault(`it was told of ${login}, which never came`);
    }
    // Without a word to the visitor, who sees another code.
    for (const _ of parts.slice(1)) this.loses();
    if (end?.event === 'success' && parts.length === 0) this.fault('a success without a login');
  }

  #asSent({ event, data }) {
    if (event !== 'success') return { event, data };
    const { session: _, ...sent } = data;
    return { event, data: sent };
  }
}

/** Reads by hand: goes away and comes back, at another node, over another way, with its position. */
export class ReaderVisitor extends Someone {
  async attempt() {
    const { ledger, chance } = this.world;
    this.login = undefined;
    this.reader = ledger.reader(this.name);
    this.jar = undefined;
    let tab;
    const ended = new AbortController();
    for (;;) {
      const stream = await this.#open();
      if (stream) await this.#read(stream, chance.between(300, 6000));
      if (this.end) break;
      if (this.gone) {
        this.loses();
        break;
      }
      if (!this.login) {
        // Never begun, or its first event was lost on the way: another login.
        await pause(500);
        this.attempts += 1;
        continue;
      }
      if (this.plan.secondTab) tab ??= this.#tab(this.jar, this.login, ended.signal);
      await pause(chance.between(0, 2500));
    }
    const { end } = this;
    this.end = this.gone = undefined;
    ended.abort();
    if (!end) return true;
    if (end.event === 'error') return this.ends(end.data.code, end.data.retryAfter);
    await this.redeem(this.jar, end.data.token, false);
    await this.readAgain(this.jar, this.login);
    await tab;
    return this.over('success');
  }

  async cancel() {
    if (!this.login) return;
    const { chance, site } = this.world;
    await this.at(chance.pick(site.nodes), this.jar)
      .giveUp(this.login, { ms: PATIENCE })
      .catch(() => {});
    await pause(1500);
  }

  async #open() {
    const { chance, site } = this.world;
    const node = chance.happens(0.3) ? { base: site.base } : chance.pick(site.nodes);
    const how = chance.pick(WAYS_BACK);
    try {
      if (this.login) {
        const visitor = this.at(node, this.jar);
        if (how === 'page') return visitor.pages(this.login, this.reader.last, { patient: false });
        const options = { ms: PATIENCE };
        return await resume(visitor, how, this.login, this.reader.last, options);
      }
      const visitor = new Visitor(node.base, { origin: site.address, userAgent: this.userAgent() });
      this.jar = visitor.jar;
      if (this.plan.transport === 'ws') return await visitor.startWs({}, { ms: PATIENCE });
      if (this.plan.transport === 'sse') return await visitor.startSse({}, { ms: PATIENCE });
      const page = await visitor.startPage({}, { ms: PATIENCE });
      for (const event of page.events) this.#take(event);
      return visitor.pages(page.login, page.next);
    } catch (error) {
      const status = error.status ?? error.answer?.status;
      this.note(`${this.login ? how : 'start'}: ${status ?? error.code ?? error.message}`);
      if (this.login && (status === 404 || status === 410)) this.gone = true;
      if (status === 204) this.fault(`a login that is over, and its end did not come (${this.reader.last})`);
      return null;
    }
  }

  async #read(stream, ms) {
    let over = () => {};
    const ended = new Promise((resolve) => {
      over = resolve;
    });
    const taken = { count: 0 };
    const take = () => {
      while (taken.count < stream.events.length) {
        const { id, event, data } = stream.events[taken.count++];
        this.#take(id === undefined ? { event, data } : { id, event, data });
        if (this.end) over();
      }
    };
    const looking = setInterval(take, 20);
    await Promise.race([ended, pause(ms), stream.closed.catch(() => {})]);
    await stream.cut();
    clearInterval(looking);
    take();
    const status = stream.ended?.error?.status ?? stream.ended?.code;
    if ([404, 410, 4404, 4410].includes(status) && !this.end) this.gone = true;
    const { error } = stream.ended ?? {};
    if (error && /^not an event|binary/.test(error.message)) this.fault(error.message);
    else if (error) this.note(`${stream.kind}: ${error.message}`);
  }

  #take(message) {
    if (this.end) return this.fault(`${message.event} ${message.id} behind the end`);
    this.sees(message.event, message.data);
    if (message.id === undefined) {
      // Refused before it began.
      if (this.login) this.fault(`an event without an id: ${JSON.stringify(message)}`);
      this.end = message;
      return;
    }
    this.reader.take(message);
    this.login ??= message.data.login;
    if (TERMINAL.includes(message.event)) this.end = message;
  }

  /** The same login in another tab, from its beginning, at one node. */
  async #tab(jar, login, ended) {
    const { ledger, chance, site } = this.world;
    const reader = ledger.reader(`${this.name}, second tab`);
    while (!ended.aborted) {
      const stream = await resume(this.at(chance.pick(site.nodes), jar), 'ws-url', login, reader.last, {
        ms: PATIENCE,
      }).catch(() => null);
      if (stream) {
        await Promise.race([pause(chance.between(1000, 5000)), stream.closed.catch(() => {})]);
        await stream.cut();
        for (const { id, event, data } of stream.events) if (id) reader.take({ id, event, data });
      } else await pause(500);
    }
  }
}

/** As `Visitor.resume`, with a deadline of one's own. */
function resume(visitor, how, login, after, options) {
  const search = after === undefined ? '' : `?after=${encodeURIComponent(after)}`;
  switch (how) {
    case 'ws-url':
      return visitor.ws(`/${login}/events`, { search, ...options });
    case 'ws-message':
      return visitor.ws('', options).then((stream) => {
        stream.send(after === undefined ? { login } : { login, after });
        return stream;
      });
    case 'sse-after':
      return visitor.sse(`/${login}/events`, { search, ...options });
    default:
      return visitor.sse(`/${login}/events`, {
        headers: after === undefined ? {} : { 'last-event-id': after },
        ...options,
      });
  }
}
