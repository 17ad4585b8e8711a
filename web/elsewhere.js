// @ts-check
/**
 * Signs in on another site than the server's, where its cookies cannot go: in a window of the server's own, or by leaving the
 * page. What comes back is a code that is worth nothing without its verifier, which never leaves this page but to the site's
 * own backend (RFC 7636). The backend redeems both at `/redeem`.
 */

import { HERE } from './here.js';

/** @typedef {import('./widget.js').MaxAuthButton} MaxAuthButton */
/** @typedef {{ code: string, codeVerifier: string, iss: string, session?: any }} CodeData `session`: what the site's backend answered */
/** @typedef {{ base: string, client: string, verifier: string, back: string }} Kept what this page remembers of a sign-in */

const KEPT = 'max-auth:'; // and the state
const LOOK_MS = 500; // whether the window is still there
const SEVERED_MS = 10_000; // a window that is gone so soon may have been parted from this page by the browser

/** @param {Uint8Array} bytes base64url (RFC 4648 §5) */
const encoded = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (sign) => ({ '+': '-', '/': '_' })[sign] ?? '');
const random = () => encoded(crypto.getRandomValues(new Uint8Array(32)));

/** @param {string} hint what the developer of the page can do */
const hint = (hint) => console.error(`max-auth: ${hint} See docs/how-to/another-site.md`);

/** Only the page's own headers tell a window that was closed from one that a policy has parted. */
async function isSevered() {
  const page = await fetch(location.href, { method: 'HEAD' }).catch(() => null);
  if (!/^same-origin($|;)/.test(page?.headers.get('cross-origin-opener-policy') ?? '')) return;
  hint(
    'this page sends Cross-Origin-Opener-Policy: same-origin, which parts it from its windows. Make it same-origin-allow-popups, or give the button mode="redirect".',
  );
}

export class Dialog {
  #button;
  /** @type {Window | null} */
  #window = null;
  /** @type {AbortController | undefined} */
  #waiting;

  /** @param {MaxAuthButton} button */
  constructor(button) {
    this.#button = button;
  }

  /** @param {Window | null} [opened] by the click: later a browser would take it for an advertisement. Without one the page is left */
  async open(opened = null) {
    if (opened && opened === this.#window) return opened.focus();
    if (!globalThis.crypto?.subtle) {
      opened?.close();
      hint('another site signs in over https only; this page came over http.');
      return this.#fail('insecure-page', 'This page came over http.');
    }
    this.#window = opened;
    const began = Date.now();
    const { base, client } = this.#where();
    const [state, verifier] = [random(), random()];
    const challenge = encoded(
      new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))),
    );
    const query = new URLSearchParams({
      response_type: 'code',
      response_mode: opened ? 'web_message' : 'query',
      client_id: client,
      redirect_uri: this.#redirectUri(),
      scope: this.#button.getAttribute('scope') ?? 'openid profile',
      state,
      code_challenge: challenge,
      code_challenge_method: 'S256',
    });
    const locale = this.#button.getAttribute('locale') ?? document.documentElement.lang;
    if (locale) query.set('ui_locales', locale);
    const address = `${base}authorize?${query}`;
    const kept = { base, client, verifier, back: location.href };
    if (!opened) {
      sessionStorage.setItem(KEPT + state, JSON.stringify(kept));
      return location.assign(address);
    }
    this.#wait(opened, new URL(base).origin, state, kept, began);
    opened.location.replace(address);
  }

  close() {
    this.#waiting?.abort();
    this.#window?.close();
    this.#window = null;
  }

  /** This page is what a sign-in led back to. */
  back() {
    const query = new URLSearchParams(location.search);
    const state = query.get('state') ?? '';
    const kept = sessionStorage.getItem(KEPT + state);
    if (!kept) return;
    sessionStorage.removeItem(KEPT + state);
    for (const name of ['code', 'state', 'iss', 'error', 'error_description']) query.delete(name);
    const answer = Object.fromEntries(new URLSearchParams(location.search));
    history.replaceState(history.state, '', location.pathname + (query.size ? `?${query}` : '') + location.hash);
    void this.#answered(answer, JSON.parse(kept));
  }

  #where() {
    const base = this.#button.getAttribute('base');
    const address = base === null ? new URL('.', HERE) : new URL(`${base.replace(/\/+$/, '')}/`, document.baseURI);
    return { base: address.href, client: this.#button.getAttribute('client-id') ?? '' };
  }

  /** Where a sign-in without a window leads, and whose origin is told in one. */
  #redirectUri() {
    return new URL(this.#button.getAttribute('redirect-uri') ?? '/', location.href).href;
  }

  /** @param {Window} opened @param {string} origin @param {string} state @param {Kept} kept @param {number} began */
  #wait(opened, origin, state, kept, began) {
    this.#waiting?.abort();
    const { signal } = (this.#waiting = new AbortController());
    /** @param {MessageEvent} message */
    const heard = ({ source, origin: from, data }) => {
      if (source !== opened || from !== origin || data?.type !== 'authorization_response') return;
      if (data.response?.state !== state) return;
      this.close();
      void this.#answered(data.response, kept);
    };
    window.addEventListener('message', heard, { signal });
    let looks = 0;
    const looking = setInterval(() => {
      // What the window said at its end may come after it: browsers run the two sites in two processes.
      if (!opened.closed || looks++ === 0) return;
      this.close();
      if (Date.now() - began < SEVERED_MS) void isSevered();
      this.#tell('max-auth-close', null);
    }, LOOK_MS);
    signal.addEventListener('abort', () => clearInterval(looking));
  }

  /** @param {Record<string, string>} answer @param {Kept} kept */
  async #answered(answer, kept) {
    if (!answer.code) {
      const declined = answer.error === 'access_denied';
      if (!declined) hint(`the server refused: ${answer.error}. ${answer.error_description ?? ''}`);
      return this.#fail(declined ? 'declined' : (answer.error ?? 'refused'), answer.error_description ?? '');
    }
    /** @type {Record<string, any>} */
    const detail = { code: answer.code, codeVerifier: kept.verifier, iss: answer.iss };
    const redeem = this.#button.getAttribute('redeem');
    if (redeem !== null) {
      const body = JSON.stringify({ code: answer.code, code_verifier: kept.verifier });
      const headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
      const response = await fetch(redeem, { method: 'POST', headers, body }).catch(() => null);
      if (!response?.ok) {
        hint(`${redeem}, which redeems the code, answered ${response ? response.status : 'nothing'}.`);
        return this.#fail(response ? 'redeem-refused' : 'network', '');
      }
      detail.session = await response.json().catch(() => null);
    }
    const goesOn = this.#tell('max-auth-success', detail, true);
    if (!goesOn || redeem === null || this.#button.getAttribute('redirect') === 'false') return;
    location.assign(new URL(this.#button.getAttribute('return-to') ?? kept.back, kept.back));
  }

  /** @param {string} code @param {string} message */
  #fail(code, message) {
    this.#tell('max-auth-error', { code, message, retry: true });
  }

  /** @param {string} name @param {any} detail @param {boolean} [cancelable] */
  #tell(name, detail, cancelable = false) {
    return this.#button.dispatchEvent(new CustomEvent(name, { detail, cancelable, bubbles: true, composed: true }));
  }
}
