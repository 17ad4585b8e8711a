// A visitor without a browser: starts a login and reads its events over each transport. Written from the contract alone,
// so that it shares no mistake with web/client.js.

import { EventEmitter } from 'node:events';
import WebSocket from 'ws';
import { Jar } from './jar.mjs';
import { fetchWhole, open } from './http.mjs';
import { deadline, pause } from './time.mjs';

export const USER_AGENT = {
  deviceType: 'WEB',
  locale: 'ru',
  deviceLocale: 'ru',
  osVersion: 'Linux',
  deviceName: 'Chrome',
  headerUserAgent:
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  screen: '1080x1920 1.0x',
  timezone: 'Europe/Moscow',
};

export const TERMINAL = ['success', 'error'];

/** One visitor: a site, a cookie jar, an origin. */
export class Visitor {
  constructor(base, { jar = new Jar(), origin = new URL(base).origin, userAgent = USER_AGENT } = {}) {
    this.base = base;
    this.jar = jar;
    this.origin = origin;
    this.userAgent = userAgent;
  }

  /** Everything the server ever said to this visitor, cookies apart: heads and bodies, as text. */
  heard = [];

  hear(headers, text = '') {
    const { 'set-cookie': _cookies, ...rest } = headers;
    this.heard.push(`${JSON.stringify(rest)}\n${text}`);
  }

  /** Another browser: the same site, no cookies. */
  stranger() {
    return new Visitor(this.base, { userAgent: this.userAgent });
  }

  headers(extra = {}) {
    const headers = {
      'user-agent': USER_AGENT.headerUserAgent,
      ...(this.origin ? { origin: this.origin } : {}),
      ...extra,
    };
    if (this.jar.header) headers.cookie = this.jar.header;
    for (const [name, value] of Object.entries(headers)) if (value === undefined) delete headers[name];
    return headers;
  }

  /** Any request below the base path (or of the site, when the path begins with the origin). */
  async request(path, { method = 'GET', headers = {}, json, body, ...rest } = {}) {
    const answer = await fetchWhole(this.url(path), {
      method,
      headers: this.headers({ ...(json === undefined ? {} : { 'content-type': 'application/json' }), ...headers }),
      body: json === undefined ? body : JSON.stringify(json),
      ...rest,
    });
    this.jar.take(answer.headers['set-cookie']);
    this.hear(answer.headers, answer.text);
    return answer;
  }

  url(path) {
    return /^https?:/.test(path) ? path : this.base + path;
  }

  /** Begins over WebSocket. */
  async startWs(start = {}, options = {}) {
    const stream = await this.ws('', options);
    stream.send({ userAgent: this.userAgent, ...start });
    return stream;
  }

  /** Begins over server-sent events. */
  startSse(start = {}, options = {}) {
    return this.sse('', {
      method: 'POST',
      body: JSON.stringify({ userAgent: this.userAgent, ...start }),
      ...options,
      headers: { 'content-type': 'application/json', ...options.headers },
    });
  }

  /** Begins with a page. Gives {login, events, next}. */
  async startPage(start = {}, options = {}) {
    const answer = await this.request('', {
      method: 'POST',
      json: { userAgent: this.userAgent, ...start },
      ...options,
      headers: { accept: 'application/json', ...options.headers },
    });
    if (answer.status !== 200) throw Object.assign(new Error(`start: ${answer.status} ${answer.text}`), { answer });
    return answer.json;
  }

  /** Opens a WebSocket; a refusal rejects with {status, text, headers}. */
  ws(path, { headers = {}, ms = 10_000, search = '' } = {}) {
    const url = this.url(path + search).replace(/^http/, 'ws');
    const socket = new WebSocket(url, {
      headers: this.headers(headers),
      rejectUnauthorized: false,
      perMessageDeflate: false,
    });
    const stream = new Stream('ws', () => socket.terminate());
    stream.socket = socket;
    stream.send = (message) =>
      socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
    socket.on('message', (data, binary) => {
      if (binary) return stream.fail(new Error('a binary message'));
      this.hear({}, data.toString());
      const message = JSON.parse(data.toString());
      if (message.event === 'beat') stream.beat();
      else stream.push(message);
    });
    socket.on('ping', () => stream.beat());
    socket.on('close', (code, reason) => {
      this.hear({}, reason.toString());
      stream.end({ code, reason: reason.toString() });
    });
    socket.on('error', () => {});
    return deadline(
      new Promise((resolve, reject) => {
        socket.once('upgrade', (response) => {
          this.jar.take(response.headers['set-cookie']);
          this.hear(response.headers);
        });
        socket.once('open', () => resolve(stream));
        socket.once('unexpected-response', (_request, response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (part) => {
            text += part;
          });
          response.on('end', () => {
            socket.terminate();
            reject(
              Object.assign(new Error(`upgrade: ${response.statusCode} ${text}`), {
                status: response.statusCode,
                text,
                headers: response.headers,
              }),
            );
          });
        });
        socket.once('error', reject);
      }),
      ms,
      `a WebSocket at ${url}`,
    ).catch((error) => {
      socket.terminate();
      throw error;
    });
  }

  /** Opens server-sent events; anything but 200 rejects with {status, text, headers}. */
  async sse(path, { method = 'GET', headers = {}, body, version = 1, search = '', ms } = {}) {
    const answer = await open(this.url(path + search), {
      method,
      body,
      version,
      ms,
      headers: this.headers({ accept: 'text/event-stream', ...headers }),
    });
    this.jar.take(answer.headers['set-cookie']);
    answer.body.setEncoding('utf8');
    if (answer.status !== 200) {
      let text = '';
      for await (const part of answer.body) text += part;
      throw Object.assign(new Error(`sse: ${answer.status} ${text}`), {
        status: answer.status,
        text,
        headers: answer.headers,
      });
    }
    const stream = new Stream('sse', () => answer.close());
    stream.headers = answer.headers;
    this.hear(answer.headers);
    stream.httpVersion = answer.httpVersion;
    let rest = '';
    answer.body.on('data', (part) => {
      this.hear({}, part);
      rest += part;
      for (let cut = rest.search(/\r?\n\r?\n/); cut >= 0; cut = rest.search(/\r?\n\r?\n/)) {
        stream.block(rest.slice(0, cut));
        rest = rest.slice(cut).replace(/^\r?\n\r?\n/, '');
      }
    });
    const over = () => stream.end({ code: null, reason: '' });
    answer.body.on('end', over).on('close', over).on('error', over);
    return stream;
  }

  /** Resumes over one of the four ways back. */
  resume(how, login, after) {
    const search = after === undefined ? '' : `?after=${encodeURIComponent(after)}`;
    switch (how) {
      case 'ws-url':
        return this.ws(`/${login}/events`, { search });
      case 'ws-message':
        return this.ws('').then((stream) => {
          stream.send(after === undefined ? { login } : { login, after });
          return stream;
        });
      case 'sse-after':
        return this.sse(`/${login}/events`, { search });
      case 'sse-last-event-id':
        return this.sse(`/${login}/events`, { headers: after === undefined ? {} : { 'last-event-id': after } });
      case 'page':
        return Promise.resolve(this.pages(login, after));
      default:
        throw new Error(`no way back called ${how}`);
    }
  }

  /** One long-poll page. */
  page(login, after, wait = 5, options = {}) {
    const query = new URLSearchParams({ ...(after === undefined ? {} : { after }), wait: String(wait) });
    return this.request(`/${login}/events?${query}`, { headers: { accept: 'application/json' }, ...options });
  }

  /** Long polling as a stream: asks for page after page until the end. `patient`: a 503 is asked again, as browsers do. */
  pages(login, after, { patient = false } = {}) {
    let going = true;
    const stream = new Stream('page', () => {
      going = false;
      stream.end({ code: null, reason: 'cut' });
    });
    (async () => {
      let position = after;
      while (going) {
        const answer = await this.page(login, position, 5);
        if (!going) return;
        if (patient && answer.status === 503) {
          await pause(500);
          continue;
        }
        if (answer.status !== 200)
          throw Object.assign(new Error(`page: ${answer.status} ${answer.text}`), {
            status: answer.status,
            text: answer.text,
          });
        const { events, next } = answer.json;
        for (const event of events) stream.push(event);
        position = next;
        if (events.some(({ event }) => TERMINAL.includes(event))) return stream.end({ code: null, reason: '' });
      }
    })().catch((error) => stream.fail(error));
    return stream;
  }

  password(login, password, options) {
    return this.request(`/${login}/password`, { method: 'POST', json: { password }, ...options });
  }

  giveUp(login, options) {
    return this.request(`/${login}`, { method: 'DELETE', ...options });
  }

  callback(token, options) {
    return this.request(`/callback?token=${encodeURIComponent(token)}`, options);
  }

  session(options) {
    return this.request('/session', options);
  }
}

export const WAYS_BACK = ['ws-url', 'ws-message', 'sse-after', 'sse-last-event-id', 'page'];

/** The events of one connection with their arrival times, whatever carries them. */
export class Stream {
  events = [];
  beats = 0;
  ended = null;
  #bus = new EventEmitter().setMaxListeners(100);
  #read = 0;

  constructor(kind, cut) {
    this.kind = kind;
    this.cut = () => {
      cut();
      return this.closed.catch(() => {});
    };
    this.closed = new Promise((resolve, reject) => {
      this.#bus.once('end', (how) => resolve(how));
      this.#bus.once('fail', (error) => reject(error));
    });
    this.closed.catch(() => {});
  }

  push(message) {
    // What refuses a login before there is one has no position.
    const placed = typeof message?.id === 'string' || message?.event === 'error';
    if (!placed || typeof message?.event !== 'string' || typeof message?.data !== 'object') {
      return this.fail(new Error(`not an event: ${JSON.stringify(message)}`));
    }
    this.events.push({ ...message, at: performance.now() });
    this.#bus.emit('event');
  }

  beat() {
    this.beats += 1;
  }

  /** One block of server-sent events. */
  block(text) {
    const fields = {};
    for (const line of text.split(/\r?\n/)) {
      if (line.startsWith(':')) this.beat();
      if (line.startsWith(':') || line === '') continue;
      const [, name, value] = line.match(/^([^:]*):? ?(.*)$/s);
      fields[name] = name === 'data' && fields.data !== undefined ? `${fields.data}\n${value}` : value;
    }
    if (fields.data === undefined) return;
    if (fields.event === 'beat') return this.beat();
    this.push({ id: fields.id, event: fields.event, data: JSON.parse(fields.data) });
  }

  end(how) {
    if (this.ended) return;
    this.ended = how;
    this.#bus.emit('end', how);
    this.#bus.emit('event');
  }

  fail(error) {
    if (this.ended) return;
    this.ended = { error };
    this.#bus.emit('fail', error);
    this.#bus.emit('event');
  }

  /** The next event that has not been handed out. */
  next(ms = 10_000) {
    return this.#await(
      () => {
        if (this.#read < this.events.length) return this.events[this.#read++];
      },
      ms,
      'the next event',
    );
  }

  /** The next event that fits (a name, or a test), skipping others. */
  until(wanted, ms = 10_000) {
    const fits = typeof wanted === 'string' ? (event) => event.event === wanted : wanted;
    return this.#await(
      () => {
        while (this.#read < this.events.length) {
          const event = this.events[this.#read++];
          if (fits(event)) return event;
        }
      },
      ms,
      typeof wanted === 'string' ? `"${wanted}"` : String(wanted),
    );
  }

  /** Waits for the end of the login itself: `success` or `error`. */
  outcome(ms = 15_000) {
    return this.until(({ event }) => TERMINAL.includes(event), ms);
  }

  ends(ms = 10_000) {
    return deadline(this.closed, ms, `the ${this.kind} stream to end; had ${this.#story()}`);
  }

  #await(look, ms, what) {
    let listener;
    return deadline(
      new Promise((resolve, reject) => {
        listener = () => {
          const found = look();
          if (found) {
            this.#bus.off('event', listener); // now: a second event in the same tick must not be consumed here
            return resolve(found);
          }
          if (this.ended)
            reject(
              new Error(`the ${this.kind} stream ended (${describe(this.ended)}) before ${what}; had ${this.#story()}`),
            );
        };
        this.#bus.on('event', listener);
        listener();
      }),
      ms,
      `${what} on ${this.kind}`,
    )
      .catch((error) => {
        error.message += `; had ${this.#story()}`;
        throw error;
      })
      .finally(() => this.#bus.off('event', listener));
  }

  #story() {
    return (
      this.events.map(({ event, data }) => (event === 'status' ? `status/${data.stage}` : event)).join(' ') || 'nothing'
    );
  }
}

const describe = (ended) => ended.error?.message ?? `${ended.code} ${ended.reason}`;

/** The ID of the login, from its first event. */
export async function loginOf(stream) {
  const first = stream.events[0] ?? (await stream.next());
  if (typeof first.data.login !== 'string')
    throw new Error(`the first event carries no login: ${JSON.stringify(first)}`);
  return first.data.login;
}

/** The track of a code: the last part of its link. */
export const trackOf = (qr) => new URL(qr.data.qrLink).pathname.split('/').pop();
