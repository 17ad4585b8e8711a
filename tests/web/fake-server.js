// @ts-check
/**
 * A small server that speaks the contract: enough for the browser side to be developed and tested without the real one.
 * `node fake-server.js [port]`; faults by query on /fault, e.g. /fault?ws=hang&sse=held.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const WEB = new URL('../../web/', import.meta.url);
const BASE = '/api/auth/max';
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";
/** @type {Record<string, string>} */
const FILES = {
  '/': 'demo.html',
  '/demo.js': 'demo.js',
  '/widget': 'demo-widget.html',
  '/demo-widget.js': 'demo-widget.js',
  '/demo-widget.css': 'demo-widget.css',
  '/widget.md': '../docs/widget.md',
  '/phone': 'phone.html',
  '/phone/phone.js': 'phone.js',
  '/phone/phone-bot.js': 'phone-bot.js',
  '/phone/phone.css': 'phone.css',
  // Here each module is asked for by itself; the server joins them.
  ...Object.fromEntries(
    readdirSync(WEB)
      .filter((name) => /\.(js|css)$/.test(name))
      .map((name) => [`${BASE}/${name}`, name]),
  ),
};
/** A page of a site with the panel in it. @param {URL} url */
function pageWithPanel({ searchParams }) {
  const locale = searchParams.get('locale') === 'en' ? 'en' : 'ru';
  const returnTo = searchParams.get('return_to') ?? '/';
  return `<!doctype html><html lang="${locale}"><meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,">
<script type="module" src="widget.js"></script><max-auth-panel autostart return-to="${returnTo}"></max-auth-panel></html>`;
}

/** @type {Record<string, string>} */
const TYPES = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  md: 'text/markdown; charset=utf-8',
};
const TEXT = /** @type {Record<string, string>} */ ({
  connecting: 'Подключение к серверу…',
  code: 'Получаем QR-код...',
  waiting: 'Отсканируйте код в MAX',
  approved: 'Вход подтверждён на телефоне',
  finishing: 'Завершаем вход…',
});

/** @typedef {{ id: string, event: string, data: any }} Event */

class Login {
  id = randomUUID();
  epoch = randomBytes(4).toString('hex');
  /** @type {Event[]} */
  events = [];
  /** @type {Set<() => void>} */
  readers = new Set();
  track = randomUUID();
  link = `https://max.ru/:auth/${this.track}`;
  expiresAt = 0;
  polls = 0;
  state = 'open';
  token = '';
  /** @type {string | undefined} */
  textCode;

  /** @param {any} start */
  constructor(start) {
    this.start = start;
    this.add('status', { stage: 'connecting', message: TEXT.connecting });
  }
  /** A server with more than one driver. @param {string[]} drivers */
  by(drivers) {
    const driver = drivers.includes(this.start.driver) ? this.start.driver : drivers[0];
    Object.assign(this.events[0].data, { driver, ...(drivers.length > 1 && { drivers }) });
    if (driver === 'bot') this.textCode = 'ABCDEFGH';
    if (driver !== 'account_qr') this.link = `https://max.ru/a_bot?start${driver === 'bot' ? '' : 'app'}=CODE`;
  }
  /** Somebody opened the code. @param {string} matchCode */
  confirm(matchCode) {
    this.add('confirm', { matchCode });
  }
  get over() {
    return ['success', 'error'].includes(this.events.at(-1)?.event ?? '');
  }
  /** @param {string} event @param {any} data */
  add(event, data) {
    if (this.over) return;
    this.events.push({ id: `${this.epoch}-${this.events.length + 1}`, event, data });
    for (const wake of [...this.readers]) wake();
  }
  /** @param {string} stage */
  stage(stage) {
    this.add('status', { stage, message: TEXT[stage] });
  }
  /** @param {number} ttl */
  code(ttl) {
    this.expiresAt = Date.now() + ttl;
    this.add('qr', {
      qrLink: this.link,
      svg: simulatedCode(this.track),
      expiresAt: this.expiresAt,
      ttl,
      textCode: this.textCode,
    });
    this.stage('waiting');
  }
  approve() {
    this.state = 'approved';
    this.stage('approved');
    this.stage('finishing');
    this.token = randomBytes(24).toString('base64url');
    this.add('success', { token: this.token, redirect: `${BASE}/callback?token=${this.token}` });
  }
  /** @param {string | null} position */
  after(position) {
    if (!position) return 0;
    const [epoch, offset] = position.split('-');
    return epoch === this.epoch ? Number(offset) : -1;
  }
}

/** Looks like a QR code and is none: this server has no phone that would read it. @param {string} seed */
function simulatedCode(seed) {
  const size = 33;
  const at = (/** @type {number} */ i) => seed.charCodeAt(i % seed.length) * (i + 7);
  let path = '';
  const finder = (/** @type {number} */ x, /** @type {number} */ y) => {
    const [dx, dy] = [x > size / 2 ? x - (size - 7) : x, y > size / 2 ? y - (size - 7) : y];
    if (dx < -1 || dy < -1 || dx > 7 || dy > 7 || (x > 8 && y > 8 && x > size / 2 && y > size / 2)) return null;
    if (dx < 0 || dy < 0 || dx > 6 || dy > 6) return false;
    const ring = Math.max(Math.abs(dx - 3), Math.abs(dy - 3));
    return ring !== 2;
  };
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const corner = (x < 8 || x > size - 9) && (y < 8 || y > size - 9) ? finder(x, y) : null;
      if (corner ?? (at(x * 31 + y * 17) ^ (x * y)) % 5 < 2) path += `M${x + 4} ${y + 4}.5h1`;
    }
  }
  const side = size + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${side} ${side}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h${side}v${side}H0z"/><path stroke="#000" d="${path}"/></svg>`;
}

/**
 * @param {{ port?: number, codeAfter?: number, ttl?: number }} [options]
 */
export async function startFakeServer({ port = 0, codeAfter = 300, ttl = 60_000 } = {}) {
  /** @type {Map<string, Login>} */
  const logins = new Map();
  /** @type {Map<string, any>} */
  const sessions = new Map();
  /** @type {Record<string, string>} */
  const fault = {};
  const seen = { redeemed: 0, ws: 0, sse: 0, poll: 0, post: 0, delete: 0, closeReasons: /** @type {string[]} */ ([]) };

  /** @param {import('node:http').ServerResponse} response @param {number} status @param {any} body @param {any} [headers] */
  const json = (response, status, body, headers = {}) => {
    const type = body.code ? 'application/problem+json' : 'application/json';
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...headers });
    response.end(JSON.stringify(body));
  };
  /** @param {import('node:http').ServerResponse} response @param {number} status @param {string} code @param {any} [headers] */
  const refuse = (response, status, code, headers) =>
    json(response, status, { type: 'about:blank', title: 'Refused', status, detail: code, code }, headers);
  /** @param {import('node:http').IncomingMessage} request */
  const cookie = (request) => request.headers.cookie?.match(/maxauth=([\w-]+)/)?.[1] ?? '';

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    const method = request.method ?? 'GET';
    const file = FILES[url.pathname];
    if (file && method === 'GET') {
      const headers = {
        'content-type': TYPES[file.split('.').pop() ?? ''],
        'content-security-policy': CSP,
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'cross-origin-opener-policy': 'same-origin',
      };
      response.writeHead(200, headers);
      const body = await readFile(fileURLToPath(new URL(file, WEB)));
      return response.end(body);
    }
    if (url.pathname === `${BASE}/login` && method === 'GET') {
      response.writeHead(200, { 'content-type': TYPES.html, 'content-security-policy': CSP });
      return response.end(pageWithPanel(url));
    }
    if (url.pathname === '/fault') {
      for (const key of Object.keys(fault)) delete fault[key];
      Object.assign(fault, Object.fromEntries(url.searchParams));
      if (fault.forget) logins.clear();
      return json(response, 200, fault);
    }
    if (url.pathname === '/phone/codes') {
      const codes = [...logins.values()].filter((login) => login.expiresAt && !login.over);
      return json(response, 200, {
        codes: codes.map(({ track, link, expiresAt, polls, state, start }) => ({
          ...{ track, link, expiresAt, polls: ++polls, state, dialect: 'binary' },
          ...{ deviceName: start.userAgent?.deviceName, osVersion: start.userAgent?.osVersion },
        })),
      });
    }
    if (url.pathname === '/phone/stats') {
      return json(response, 200, { codes: logins.size, logins: sessions.size, logouts: sessions.size, connections: 1 });
    }
    const pressed = url.pathname.match(/^\/phone\/(approve|decline|expire|password)\/([\w-]+)$/);
    if (pressed && method === 'POST') {
      const login = [...logins.values()].find(({ track }) => track === pressed[2]);
      if (!login) return refuse(response, 404, 'track-not-found');
      if (pressed[1] === 'approve') login.approve();
      else if (pressed[1] === 'password') login.add('password', { hint: 'имя кота' });
      else if (pressed[1] === 'expire') login.code(ttl);
      else login.add('error', { code: 'cancelled', message: 'Вход отменён.', retry: true });
      return json(response, 200, {});
    }
    if (!url.pathname.startsWith(BASE)) return refuse(response, 404, 'not-found');

    const path = url.pathname.slice(BASE.length).replace(/\/$/, '');
    if (path === '' && method === 'POST') {
      seen.post++;
      if (fault.post === 'busy') return refuse(response, 503, 'busy', { 'retry-after': '15' });
      if (fault.post === '502') return void response.writeHead(502).end();
      let text = '';
      for await (const chunk of request) text += chunk;
      const login = new Login(JSON.parse(text));
      if (fault.drivers) login.by(fault.drivers.split(','));
      logins.set(login.id, login);
      const stage = fault.stage;
      setTimeout(() => login.stage('code'), codeAfter / 3);
      if (stage !== 'code') setTimeout(() => login.code(ttl), codeAfter);
      if (stage === 'password') setTimeout(() => login.add('password', { hint: 'имя кота' }), codeAfter * 2);
      if (stage === 'approved') setTimeout(() => login.stage('approved'), codeAfter * 2);
      if (stage === 'error')
        setTimeout(
          () =>
            login.add('error', { code: fault.code, message: fault.message ?? 'Ошибка', retry: fault.retry !== '0' }),
          codeAfter * 2,
        );
      return json(response, 200, {
        login: login.id,
        events: login.events,
        next: login.events.at(-1)?.id,
        asked: Date.now(),
        sent: Date.now(),
      });
    }
    if (path === '') return refuse(response, 426, 'upgrade-required');
    if (path === '/callback') {
      let text = '';
      for await (const chunk of request) text += chunk;
      const given = method === 'POST' ? JSON.parse(text).token : url.searchParams.get('token');
      const login = [...logins.values()].find(({ token }) => token && token === given);
      if (!login) return refuse(response, 400, 'grant-not-found');
      login.token = '';
      const id = randomUUID();
      sessions.set(id, {
        sub: 'mx_8f2c41d09b',
        name: 'Анна Смирнова',
        first_name: 'Анна',
        last_name: 'Смирнова',
        phone: '79001234567',
        expiresAt: Date.now() + 3600_000,
      });
      seen.redeemed += Number(method === 'POST');
      const set = { 'set-cookie': `maxauth=${id}; Path=/; HttpOnly; SameSite=Lax` };
      if (method === 'POST') return json(response, 200, sessions.get(id), set);
      response.writeHead(303, { location: login.start.returnTo ?? '/', ...set });
      return response.end();
    }
    if (path === '/session') {
      const person = sessions.get(cookie(request));
      return person ? json(response, 200, person) : refuse(response, 401, 'not-signed-in');
    }
    if (path === '/logout') {
      sessions.delete(cookie(request));
      return json(response, 200, {});
    }

    const [, id, what] = path.split('/');
    const login = logins.get(id);
    if (!login) return refuse(response, 404, 'login-not-found');
    if (method === 'DELETE') {
      seen.delete++;
      logins.delete(id);
      return void response.writeHead(204).end();
    }
    if (what === 'password') {
      let text = '';
      for await (const chunk of request) text += chunk;
      if (JSON.parse(text).password === 'right') setTimeout(() => login.approve(), 300);
      else setTimeout(() => login.add('password', { hint: 'имя кота', wrong: true }), 300);
      return json(response, 202, {});
    }
    const after = login.after(url.searchParams.get('after'));
    if (after < 0) return refuse(response, 410, 'position-gone');
    if (request.headers.accept === 'text/event-stream') {
      const trial = Number(url.searchParams.get('trial'));
      return trial ? serveTrial(trial, response) : serveSse(login, after, response);
    }
    return servePage(login, after, Number(url.searchParams.get('wait') ?? 0), request, response);
  });

  /** @param {number} next */
  const mark = (next) => `: ${Date.now()} ${next}\n\n`;

  /** @param {number} length @param {import('node:http').ServerResponse} response */
  function serveTrial(length, response) {
    seen.sse++;
    if (fault.sse === 'hang') return;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
    const gap = Math.round(length / 4);
    /** @type {string[]} */
    const held = [];
    for (let i = 0; i <= 4; i++) {
      setTimeout(() => {
        if (fault.sse === 'held') held.push(mark(gap));
        else response.write(mark(gap));
        if (i === 4) response.end(held.join(''));
      }, gap * i);
    }
  }

  /** @param {Login} login @param {number} after @param {import('node:http').ServerResponse} response */
  function serveSse(login, after, response) {
    seen.sse++;
    if (fault.sse === 'hang') return;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    if (fault.sse === 'held') return void response.flushHeaders();
    let sent = after;
    response.write(mark(10_000));
    const pump = () => {
      for (const e of login.events.slice(sent))
        response.write(`id: ${e.id}\nevent: ${e.event}\ndata: ${JSON.stringify(e.data)}\n\n`);
      sent = login.events.length;
      if (login.over) response.end();
    };
    const beat = setInterval(() => response.write(mark(10_000)), 10_000);
    const cut = fault.cut ? setTimeout(() => response.destroy(), Number(fault.cut)) : undefined;
    login.readers.add(pump);
    response.on('close', () => (login.readers.delete(pump), clearInterval(beat), clearTimeout(cut)));
    pump();
  }

  /** @param {Login} login @param {number} after @param {number} wait @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
  function servePage(login, after, wait, request, response) {
    seen.poll++;
    const asked = Date.now();
    if (fault.poll === '503') return void response.writeHead(503).end();
    const answer = () => {
      login.readers.delete(answer);
      clearTimeout(timer);
      if (response.writableEnded) return;
      const events = login.events.slice(after);
      json(response, 200, { events, next: `${login.epoch}-${login.events.length}`, asked, sent: Date.now() });
    };
    const timer = setTimeout(answer, Math.min(10, wait) * 1000);
    login.readers.add(answer);
    request.on('close', () => (login.readers.delete(answer), clearTimeout(timer)));
    if (login.events.length > after) answer();
  }

  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.on('upgrade', (request, socket, head) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    const login = logins.get(url.pathname.slice(BASE.length).split('/')[1]);
    seen.ws++;
    if (fault.ws === 'hang') return;
    if (fault.ws === 'refuse' || !login) return void socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
    sockets.handleUpgrade(request, socket, head, (ws) => {
      if (fault.ws === 'mute') return;
      let sent = Math.max(0, login.after(url.searchParams.get('after')));
      const beat = (next = 10_000) => ws.send(JSON.stringify({ event: 'beat', sent: Date.now(), next }));
      const pump = () => {
        for (; sent < login.events.length; sent++) ws.send(JSON.stringify(login.events[sent]));
        if (login.over) ws.close(1000);
      };
      for (const [at, next] of [
        [0, 100],
        [100, 100],
        [200, 10_000],
      ])
        setTimeout(() => ws.readyState === 1 && beat(next), at);
      const timer = setInterval(beat, 10_000);
      const cut = fault.cut ? setTimeout(() => ws.terminate(), Number(fault.cut)) : undefined;
      login.readers.add(pump);
      ws.on('close', (code, reason) => {
        seen.closeReasons.push(`${code} ${reason}`);
        login.readers.delete(pump);
        clearInterval(timer);
        clearTimeout(cut);
      });
      pump();
    });
  });

  /** @type {Set<import('node:net').Socket>} */
  const raw = new Set();
  server.on('connection', (socket) => {
    raw.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => raw.delete(socket));
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  const { port: actual } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    origin: `http://127.0.0.1:${actual}`,
    base: `http://127.0.0.1:${actual}${BASE}`,
    logins,
    fault,
    seen,
    /** Cuts every connection, as a proxy that reloads does. */
    cutAll() {
      for (const socket of raw) socket.destroy();
    },
    async close() {
      this.cutAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { origin } = await startFakeServer({ port: Number(process.argv[2] ?? 3999) });
  console.log(origin);
}
