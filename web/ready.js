// @ts-check
/**
 * The ready page, which holds a login and its code already when it arrives; this file and sheet.css are inside it. Query:
 * `return_to`, `request`, `locale`.
 */

import { follow } from './follow.js';
import { WORDS } from './words.js';

const PROBE_MS = 5000; // 20 KB are there, or the line is frozen
const PING_MS = 11_000; // Chromium asks whether an HTTP/2 connection lives before the first request after 10 s without a byte,
const PING_TIMEOUT_MS = 10_000; // and waits so long
const TICK_MS = 1000;

const base = new URL('.', location.href).href.slice(0, -1);
/** @param {string} id @returns {any} */
const part = (id) => document.getElementById(id);
/** @type {{ login?: string, key?: string, after?: string, expiresAt?: number, ttl?: number }} */
const begun = JSON.parse(part('login').textContent);
/** @type {ReturnType<typeof follow> | undefined} */
let login;
let [until, whole, hiddenAt, isOver] = [0, 1, 0, false];
/** @type {any} */
let ticker;

/** @param {string} id @param {string} text */
const say = (id, text) => {
  // Once, or a screen reader would repeat it.
  if (part(id).textContent !== text) part(id).textContent = text;
};

const tick = () => {
  const left = Math.max(0, until - Date.now());
  const seconds = Math.ceil(left / 1000);
  part('rest').value = left / whole;
  part('code').classList.toggle('stale', !left);
  say('left', left ? `${WORDS.left} ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}` : '');
  say('state', left ? WORDS.waiting : WORDS.refreshing);
};

/** @param {{ png?: string, qrLink?: string, expiresAt?: number, ttl?: number }} code */
const show = ({ png, qrLink, expiresAt = 0, ttl = 0 }) => {
  if (png) {
    const image = new Image();
    [image.src, image.alt] = [png, WORDS.qrLabel];
    part('code').replaceChildren(image);
    for (const link of document.querySelectorAll('.link')) link.setAttribute('href', String(qrLink));
  }
  whole = Math.max(1000, ttl);
  // The visitor's clock may be wrong.
  const byClock = expiresAt - Date.now();
  until = Date.now() + (byClock > 0 && byClock < whole ? byClock : whole);
  clearInterval(ticker);
  ticker = setInterval(tick, TICK_MS);
  tick();
};

/** @param {'good' | 'bad' | 'busy'} kind @param {string} title @param {string} [body] @param {boolean} [again] */
const end = (kind, title, body = '', again = false) => {
  clearInterval(ticker);
  part('show').hidden = true;
  part('end').hidden = false;
  part('badge').className = `badge ${kind}`;
  part('badge').textContent = kind === 'bad' ? '!' : '✓';
  say('title', title);
  say('body', body);
  part('again').hidden = !again;
  if (again) part('again').focus();
};

/** @type {Record<string, (data: any) => void>} */
const told = {
  status: ({ stage, message }) => {
    if (stage === 'approved') end('busy', WORDS.approved, WORDS.approvedText);
    else if (stage === 'finishing') end('busy', WORDS.finishing);
    else if (stage !== 'waiting') {
      clearInterval(ticker);
      say('state', message);
      say('left', '');
    }
  },
  qr: show,
  password: () => location.assign(`${base}/${begun.login}/wait`),
  success: ({ redirect }) => {
    isOver = true;
    end('good', WORDS.success, WORDS.successText);
    location.assign(new URL(redirect, `${base}/`));
  },
  error: ({ message, retry }) => end('bad', WORDS.errorTitle, message, retry !== false),
  line: ({ reached }) => (reached ? tick() : say('state', WORDS.network)),
  // The server begins a fresh one with the page; not again and again, where cookies do not stick.
  gone: () => {
    const now = Date.now();
    const last = Number(sessionStorage.getItem('max-auth:gone'));
    sessionStorage.setItem('max-auth:gone', String(now));
    if (now - last < 10_000) return end('bad', WORDS.errorTitle, WORDS['cookies-blocked'], true);
    location.reload();
  },
};

/** Where the server did not begin with the page: over plain HTTP it is not told that somebody looks at it. */
const begin = async () => {
  const query = new URLSearchParams(location.search);
  const [returnTo, request] = ['return_to', 'request'].map((name) => query.get(name) ?? undefined);
  const locale = document.documentElement.lang;
  const userAgent = { headerUserAgent: navigator.userAgent.slice(0, 512) };
  const response = await fetch(base, {
    method: 'POST',
    body: JSON.stringify({ userAgent, returnTo, request, locale }),
    headers: { 'Content-Type': 'application/json' },
  }).catch(() => null);
  Object.assign(begun, await response?.json().catch(() => null));
};

/**
 * Whether the connection of this page is one that has stopped in silence. Over HTTP/2 the visitor would be sent on over just
 * that one, so it is tried out: 20 KB, which such a network does not let through. Where they do not come, Chromium is led to
 * give the connection up, by a question that is withdrawn before it would be asked again on a new one.
 */
const probe = async () => {
  const [page] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType('navigation'));
  if (page?.nextHopProtocol !== 'h2') return;
  const ask = (/** @type {string} */ what, /** @type {number} */ ms) =>
    fetch(`${base}/${what}`, { cache: 'no-store', signal: AbortSignal.timeout(ms) }).then((response) =>
      response.text(),
    );
  const answered = await ask('widget.js?line', PROBE_MS).catch(() => '');
  if (answered) return;
  login?.report('page.frozen');
  await new Promise((go) => setTimeout(go, PING_MS - PROBE_MS));
  ask(`${begun.login}/events?wait=0&after=${begun.after ?? ''}`, PING_TIMEOUT_MS - 2000).catch(() => {});
};

const run = async () => {
  if (!begun.login) await begin();
  // Not now, or not so: the form without a script says why, and is a way in.
  if (!begun.login) return;
  part('plain').hidden = true;
  login = follow(base, /** @type {any} */ (begun), (event, data) => told[event]?.(data));
  if (begun.ttl) show(begun);
  setTimeout(probe, TICK_MS);
};

document.addEventListener('visibilitychange', () => {
  const now = Date.now();
  if (document.visibilityState === 'hidden') hiddenAt = now;
  else if (now - hiddenAt > 5000) login?.wake();
});
addEventListener('online', () => login?.wake());
addEventListener('pagehide', () => login?.rest());
addEventListener('pageshow', (event) => {
  // Back through the history, perhaps to a page that had sent its visitor on.
  if (event.persisted) isOver ? location.reload() : login?.wake();
});
void run();
