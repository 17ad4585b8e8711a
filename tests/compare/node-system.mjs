// The system that a site of Node writes for itself, as docs/limits.md compares it: Express and ws, a WebSocket to MAX for each
// visitor, every step streamed to the browser. Written for this comparison and plain, as such systems are; what it leaves out (a log,
// limits, coming back after a break, whose login it is) is to its advantage. node node-system.mjs PORT wss://MAX/websocket

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import express from 'express';
import { WebSocket, WebSocketServer } from 'ws';

const [port, upstream] = process.argv.slice(2);

const OPCODE = { ping: 1, init: 6, logout: 20, getQr: 288, qrStatus: 289, loginByQr: 291 };
const FIRST_MESSAGE_MS = 10_000;
const ANSWER_MS = 10_000;
const GRANT_MS = 60_000;
const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/151.0.0.0 Safari/537.36';

/** Who may fetch a session at /callback: grant → profile. */
const grants = new Map();

class MaxAuthSession {
  constructor(browser, userAgent) {
    this.browser = browser;
    this.userAgent = userAgent;
    this.seq = 0;
    this.waiting = new Map();
    this.timer = null;
    browser.on('close', () => this.stop());
    browser.on('error', () => this.stop());
  }

  send(event, data) {
    if (this.browser.readyState === WebSocket.OPEN) this.browser.send(JSON.stringify({ event, data }));
  }

  /** Sends a request to MAX and gives the payload of its answer. */
  request(opcode, payload = {}) {
    const seq = this.seq++;
    return new Promise((resolve, reject) => {
      const timeout = setTimeout(() => {
        this.waiting.delete(seq);
        reject(new Error('MAX does not answer'));
      }, ANSWER_MS);
      this.waiting.set(seq, { resolve, reject, timeout });
      this.max.send(JSON.stringify({ ver: 11, cmd: 0, seq, opcode, payload }));
    });
  }

  heard(text) {
    const { cmd, seq, opcode, payload } = JSON.parse(text);
    if (cmd === 0 && opcode === OPCODE.ping) {
      this.max.send(JSON.stringify({ ver: 11, cmd: 1, seq, opcode, payload: null }));
      return;
    }
    const waiting = cmd === 1 || cmd === 3 ? this.waiting.get(seq) : undefined;
    if (!waiting) return;
    this.waiting.delete(seq);
    clearTimeout(waiting.timeout);
    if (cmd === 3) waiting.reject(Object.assign(new Error(payload?.message), { code: payload?.error }));
    else waiting.resolve(payload);
  }

  async start() {
    try {
      this.send('status', { message: 'Получаем QR-код...' });
      await this.connect();
      await this.request(OPCODE.init, { userAgent: this.userAgent, deviceId: randomUUID() });
      await this.showCode();
    } catch (error) {
      this.fail(error);
    }
  }

  connect() {
    this.max = new WebSocket(upstream, { origin: 'https://web.max.ru', headers: { 'User-Agent': CHROME } });
    this.max.on('message', (data) => this.heard(data.toString()));
    this.max.on('close', () => this.fail(new Error('MAX closed the connection')));
    return new Promise((resolve, reject) => {
      this.max.on('open', resolve);
      this.max.on('error', reject);
    });
  }

  async showCode() {
    const { qrLink, trackId, pollingInterval, expiresAt } = await this.request(OPCODE.getQr);
    this.trackId = trackId;
    this.send('qr', { qrLink, expiresAt });
    this.send('status', { message: 'Отсканируйте QR-код в приложении MAX' });
    clearInterval(this.timer);
    this.timer = setInterval(() => this.poll(), pollingInterval);
  }

  async poll() {
    try {
      const { status } = await this.request(OPCODE.qrStatus, { trackId: this.trackId });
      if (!status?.loginAvailable || this.over) return;
      clearInterval(this.timer);
      this.send('status', { message: 'Входим...' });
      await this.login();
    } catch (error) {
      if (error.code === 'track.not.found') await this.showCode().catch((failed) => this.fail(failed));
      else this.fail(error);
    }
  }

  async login() {
    const { profile } = await this.request(OPCODE.loginByQr, { trackId: this.trackId });
    if (!profile) throw new Error('a password is needed');
    const { id, phone, names } = profile.contact;
    const own = names.find((name) => name.type === 'ONEME') ?? names[0];
    const grant = randomUUID();
    grants.set(grant, { id: String(id), phone, firstName: own?.firstName, lastName: own?.lastName });
    setTimeout(() => grants.delete(grant), GRANT_MS);
    this.send('success', { token: grant, redirect: `/api/auth/max/callback?token=${grant}` });
    // Nobody is to keep a session of the visitor's account.
    await this.request(OPCODE.logout).catch(() => {});
    this.browser.close(1000, 'Done');
    this.stop();
  }

  fail(error) {
    if (this.over) return;
    this.send('error', { message: error.message, code: error.code });
    this.browser.close(1011, 'Failed');
    this.stop();
  }

  stop() {
    if (this.over) return;
    this.over = true;
    clearInterval(this.timer);
    for (const { timeout } of this.waiting.values()) clearTimeout(timeout);
    this.waiting.clear();
    // What is still being connected says so with an error when it is cut.
    this.max?.on('error', () => {});
    this.max?.terminate();
  }
}

function handleConnection(browser) {
  const timeout = setTimeout(() => browser.close(1002, 'No initial message received'), FIRST_MESSAGE_MS);
  browser.once('close', () => clearTimeout(timeout));
  browser.once('message', (data) => {
    clearTimeout(timeout);
    try {
      const { userAgent } = JSON.parse(data.toString());
      const usual = {
        deviceType: 'WEB',
        pushDeviceType: 'WEBPUSH',
        locale: 'ru',
        deviceLocale: 'ru',
        osVersion: 'Linux',
        deviceName: 'Chrome',
        headerUserAgent: CHROME,
        appVersion: '26.10.1',
        screen: '1080x1920 1.0x',
        timezone: 'Europe/Moscow',
      };
      new MaxAuthSession(browser, { ...usual, ...userAgent }).start();
    } catch {
      browser.close(1003, 'Invalid initial message');
    }
  });
}

const app = express();
app.use(express.json());
app.get('/healthz', (request, response) => response.json({ ok: true }));
app.get('/api/auth/max/callback', (request, response) => {
  const profile = grants.get(request.query.token);
  grants.delete(request.query.token);
  if (!profile) return response.status(400).json({ error: 'grant-invalid' });
  response.json({ profile });
});

const server = createServer(app);
const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (request, socket, head) => {
  if (!request.url.startsWith('/api/auth/max')) return socket.destroy();
  sockets.handleUpgrade(request, socket, head, handleConnection);
});
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port} answers`));
