// @ts-check
/**
 * `<max-auth-button>`: a button that opens a dialog with a QR code and signs the visitor in.
 * `<max-auth-panel>`: what is inside that dialog, for pages of its own.
 *
 *     <script type="module" src="/api/auth/max/widget.js"></script>
 *     <max-auth-button return-to="/cart"></max-auth-button>
 *
 * This file is the button and no more, so that it arrives anywhere: some networks let 16 KB of a connection through, the page
 * of the site among them (docs/networks.md). The rest is asked for when somebody points at the button. Where it does not
 * come, light.js does, over a connection of its own.
 *
 * Needs nothing of a page's Content-Security-Policy but `script-src` and `connect-src` for the address of this file:
 * styles are constructed, and what the server draws is rebuilt from a short list of harmless elements.
 */
import { DIALOG, LABELS, LIGHT } from './labels.js';

/** @typedef {import('./widget-panel.js').State} State */
/** @typedef {{ open(): void, close(): void }} Dialog */
/** @typedef {{ state: State, start(): void, stop(): void, leave(): void, changed(): void }} Panel */
/** @typedef {{ Dialog: new (button: HTMLElement) => Dialog, Panel: new (host: any) => Panel }} Parts */

const PATIENCE_MS = 1000; // for the rest; a code is promised within three seconds
const LINE = 'max-auth:line'; // what is known of it on the next page

const CSS = `
:host { display: inline-block; max-width: 100%; font: 16px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
:host([hidden]) { display: none; }
.open {
  display: inline-flex; align-items: center; justify-content: center; gap: .6em; width: 100%; min-height: 3rem; padding: .7em 1.4em;
  border: 0; border-radius: 14px; box-sizing: border-box; font: 600 1rem/1.2 inherit; font-family: inherit; cursor: pointer;
  color: #fff; background: var(--max-auth-button, linear-gradient(100deg, #7c3aed, #5155f2 55%, #2c68ee));
}
.open:hover { filter: brightness(1.07); }
.open:focus-visible { outline: 3px solid #6439e0; outline-offset: 2px; }
.open svg { width: 1.25em; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; }
@media (forced-colors: active) { .open { border: 2px solid ButtonText; } }
`;
const SCAN =
  'M4 8V6a2 2 0 0 1 2-2h2M16 4h2a2 2 0 0 1 2 2v2M20 16v2a2 2 0 0 1-2 2h-2M8 20H6a2 2 0 0 1-2-2v-2M9 9h2v2H9zM14 9h1M14 14h1v1M9 14v1';

/** @type {Promise<Parts> | undefined} */
let parts;

/**
 * A module by its text first, which can be given up where it does not come: an import could not, and would be asked for again
 * on the next connection. It is then imported from the browser's cache.
 * @param {string} name @param {RequestInit} how
 */
const fetched = async (name, how) => {
  const url = new URL(name, import.meta.url);
  const text = await fetch(url, how).then((response) => response.text());
  return { url, text };
};

const whole = async () => {
  const { url } = await fetched(DIALOG, { signal: AbortSignal.timeout(PATIENCE_MS) });
  return import(url.href);
};

/** Over a connection that has carried nothing yet: browsers keep those without cookies apart. */
const light = async () => {
  const { url, text } = await fetched(LIGHT, { credentials: 'omit' });
  const kept = fetch(url, { cache: 'only-if-cached', mode: 'same-origin' }).then(({ ok }) => ok);
  // Behind a certificate that somebody clicked away a browser keeps nothing.
  const isKept = url.origin !== location.origin || (await kept.catch(() => false));
  return import(isKept ? url.href : URL.createObjectURL(new Blob([text], { type: 'text/javascript' })));
};

/** @returns {Promise<Parts>} */
const wanted = () =>
  (parts ??= (
    stored()
      ? light()
      : whole().catch(() => {
          stored('frozen');
          return light();
        })
  ).catch((error) => {
    parts = undefined;
    throw error;
  }));

/** @param {string} [value] */
const stored = (value) => {
  try {
    if (value) sessionStorage.setItem(LINE, value);
    return sessionStorage.getItem(LINE);
  } catch {
    return null;
  }
};

/** @param {HTMLElement} element */
const languageOf = (element) => {
  const around = element.closest('[lang]')?.getAttribute('lang');
  const tag = element.getAttribute('locale') || around || navigator.language || 'ru';
  return /^(ru|be|uk|kk)\b/i.test(tag) ? 'ru' : 'en';
};

export class MaxAuthButton extends HTMLElement {
  static observedAttributes = ['label', 'locale'];

  #button = document.createElement('button');
  /** @type {Dialog | undefined} */
  #dialog;
  #isWanted = false;

  connectedCallback() {
    if (!this.shadowRoot) {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(CSS);
      const shadow = this.attachShadow({ mode: 'open' });
      shadow.adoptedStyleSheets = [sheet];
      Object.assign(this.#button, { className: 'open', type: 'button', part: 'button', ariaHasPopup: 'dialog' });
      this.#button.addEventListener('click', () => this.open());
      for (const sign of ['pointerenter', 'focus'])
        this.#button.addEventListener(sign, () => void wanted().catch(() => {}));
      shadow.append(this.#button);
    }
    this.#label();
  }

  disconnectedCallback() {
    this.close();
  }

  attributeChangedCallback() {
    this.#label();
  }

  /** Opens the dialog and begins a login. */
  async open() {
    this.#isWanted = true;
    const { Dialog } = await wanted();
    if (this.#isWanted) (this.#dialog ??= new Dialog(this)).open();
  }

  /** Closes the dialog and gives the login up. */
  close() {
    this.#isWanted = false;
    this.#dialog?.close();
  }

  /** @param {FocusOptions} [options] */
  focus(options) {
    this.#button.focus(options);
  }

  #label() {
    const drawing = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const path = document.createElementNS(drawing.namespaceURI, 'path');
    path.setAttribute('d', SCAN);
    drawing.setAttribute('viewBox', '0 0 24 24');
    drawing.ariaHidden = 'true';
    drawing.append(path);
    this.#button.replaceChildren(drawing, this.getAttribute('label') ?? LABELS[languageOf(this)]);
  }
}

export class MaxAuthPanel extends HTMLElement {
  static observedAttributes = ['locale', 'client'];
  /** Where the endpoints live, unless `base` says so. */
  here = import.meta.url;

  /** @type {Panel | undefined} */
  #panel;
  #isWanted = false;

  /** @returns {State} */
  get state() {
    return this.#panel && !this.#isWanted ? this.#panel.state : this.#isWanted ? 'connecting' : 'idle';
  }

  connectedCallback() {
    if (this.hasAttribute('autostart')) this.start();
    else void this.#filled().catch(() => {});
  }

  disconnectedCallback() {
    this.#isWanted = false;
    this.#panel?.leave();
    this.#panel = undefined;
  }

  attributeChangedCallback() {
    this.#panel?.changed();
  }

  /** Begins a login, or begins anew after one has ended. */
  async start() {
    this.#isWanted = true;
    const panel = await this.#filled();
    if (this.#isWanted) panel?.start();
    this.#isWanted = false;
  }

  /** Gives up: the server ends what it began. */
  stop() {
    this.#isWanted = false;
    this.#panel?.stop();
  }

  async #filled() {
    const { Panel } = await wanted();
    if (this.isConnected) this.#panel ??= new Panel(this);
    return this.#panel;
  }
}

if (!customElements.get('max-auth-panel')) customElements.define('max-auth-panel', MaxAuthPanel);
if (!customElements.get('max-auth-button')) customElements.define('max-auth-button', MaxAuthButton);
