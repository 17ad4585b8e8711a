// @ts-check
/**
 * The ready page, which holds a login and its code already when it arrives; this file and sheet.css are inside it. Query:
 * `return_to`, `request`, `locale`.
 */

import { follow, leaveFrozen } from './follow.js';
import { showing } from './showing.js';
import { WORDS } from './words.js';

const PROBE_MS = 5000; // 20 KB are there, or the line is frozen
const START_MS = 1000;

const base = new URL('.', location.href).href.slice(0, -1);
/** @param {string} id @returns {any} */
const part = (id) => document.getElementById(id);
// Before the page is whole, whose last bytes some networks do not let through: with the sheet there is enough of it.
while (!part('left')) await new Promise((looked) => setTimeout(looked, 20));
/** @type {{ login?: string, key?: string, after?: string, expiresAt?: number, ttl?: number, textCode?: string }} */
const begun = JSON.parse(part('login').textContent);
let [hiddenAt, isOver, isPlain] = [0, false, false];
const sheet = showing(part, () => document.querySelectorAll('.link'), WORDS);

/** @type {Record<string, (data: any) => void>} */
const told = {
  status: (data) => {
    begun.login ??= data.login;
    // Of a page that was made before its login: those steps are of an account's code.
    if ((data.driver ?? 'account_qr') !== 'account_qr') part('steps')?.remove();
    sheet.status(data);
  },
  qr: sheet.show,
  confirm: sheet.confirm,
  password: () => location.assign(`${base}/${begun.login}/wait`),
  success: ({ redirect }) => {
    isOver = true;
    sheet.success();
    location.assign(new URL(redirect, `${base}/`));
  },
  error: (data) => {
    sheet.error(data);
    if (data.code === 'driver-down' && part('others')) part('others').open = true;
  },
  line: sheet.line,
  // The form without a script says why, and is a way in.
  refused: () => {
    isPlain = true;
    plain();
  },
  // The server begins a fresh one with the page; not again and again, where cookies do not stick.
  gone: () => {
    const now = Date.now();
    const last = Number(sessionStorage.getItem('max-auth:gone'));
    sessionStorage.setItem('max-auth:gone', String(now));
    if (now - last < 10_000) return sheet.end('bad', WORDS.errorTitle, WORDS.network, true);
    location.reload();
  },
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
  const answered = await ask('dialog.js?line', PROBE_MS).catch(() => '');
  if (answered) return;
  login.report('page.frozen');
  leaveFrozen(base, begun, PROBE_MS);
};

const query = new URLSearchParams(location.search);
const [returnTo, request, driver] = ['return_to', 'request', 'driver'].map((name) => query.get(name) ?? undefined);
// For where the server did not begin with the page: over plain HTTP it is not told that somebody looks at it.
const message = {
  userAgent: { headerUserAgent: navigator.userAgent.slice(0, 512) },
  locale: document.documentElement.lang,
  returnTo,
  request,
  driver,
};
const plain = () => part('plain') && (part('plain').hidden = !isPlain);
plain();
document.addEventListener('DOMContentLoaded', plain);
const login = follow(base, begun, (event, data) => told[event]?.(data), message);
if (begun.ttl) sheet.show(begun);
setTimeout(probe, START_MS);

document.addEventListener('visibilitychange', () => {
  const now = Date.now();
  if (document.visibilityState === 'hidden') hiddenAt = now;
  else if (now - hiddenAt > 5000) login.wake();
});
addEventListener('online', () => login.wake());
addEventListener('pagehide', () => login.rest());
addEventListener('pageshow', (event) => {
  // Back through the history, perhaps to a page that had sent its visitor on.
  if (event.persisted) isOver ? location.reload() : login.wake();
});
