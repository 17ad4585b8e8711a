// @ts-check
/**
 * `<max-auth-button>`: a button that opens a dialog with a QR code and signs the visitor in.
 * `<max-auth-panel>`: what is inside that dialog, for pages of its own.
 *
 *     <script type="module" src="/api/auth/max/widget.js"></script>
 *     <max-auth-button return-to="/cart"></max-auth-button>
 *
 * What is within an element stands there until this file has come: a link to the ready page, for instance.
 *
 * This file is the button and no more, so that it arrives anywhere: some networks let 16 KB of a connection through, the page
 * of the site among them (docs/networks.md). The rest is asked for when somebody points at the button. Where it does not
 * come, light.js does, over a connection of its own.
 *
 * Needs nothing of a page's Content-Security-Policy but `script-src` and `connect-src` for the address of this file:
 * styles are constructed, and what the server draws is rebuilt from a short list of harmless elements.
 */
import { HERE } from './here.js';
import { LABELS } from './labels.js';
import { Base, elements, isElsewhere, wanted } from './parts.js';

/** @typedef {import('./widget-panel.js').State} State */
/** @typedef {{ open(opened?: Window | null): void, close(): void, back?(): void }} Dialog */
/** @typedef {{ state: State, start(): void, stop(): void, focus(): void, leave(): void, changed(): void }} Panel */
/** @typedef {{ Dialog: new (button: MaxAuthButton) => Dialog, Panel: new (host: MaxAuthPanel) => Panel }} Parts */

const CSS = `
:host { display: inline-block; max-width: 100%; font: 16px var(--max-auth-font, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif); }
:host([hidden]) { display: none; }
:host { color-scheme: light dark; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
.open {
  display: inline-flex; align-items: center; justify-content: center; gap: .6em; width: 100%; min-height: 3rem; padding: .7em 1.4em;
  border: 0; border-radius: var(--max-auth-radius, 14px); box-sizing: border-box; font: inherit; font-weight: 600; line-height: 1.2; cursor: pointer;
  color: var(--max-auth-button-text, #fff); background: var(--max-auth-button, linear-gradient(100deg, #7c3aed, #5155f2 55%, #2c68ee));
}
.open:hover { filter: brightness(1.07); }
.open:focus-visible { outline: 3px solid var(--max-auth-accent, #6439e0); outline-offset: 2px; }
.open svg { width: 1.25em; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; }
@media (forced-colors: active) { .open { border: 2px solid ButtonText; } }
`;
const SCAN =
  'M4 8V6a2 2 0 0 1 2-2h2M16 4h2a2 2 0 0 1 2 2v2M20 16v2a2 2 0 0 1-2 2h-2M8 20H6a2 2 0 0 1-2-2v-2M9 9h2v2H9zM14 9h1M14 14h1v1M9 14v1';

/** @param {HTMLElement} element */
const languageOf = (element) => {
  const around = element.closest('[lang]')?.getAttribute('lang');
  const tag = element.getAttribute('locale') || around || navigator.language || 'ru';
  return /^(ru|be|uk|kk)\b/i.test(tag) ? 'ru' : 'en';
};

export class MaxAuthButton extends Base {
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
        this.#button.addEventListener(sign, () => void wanted(this).catch(() => {}));
      shadow.append(this.#button);
    }
    this.#label();
    if (isElsewhere(this) && location.search.includes('state=')) void this.#own().then((dialog) => dialog.back?.());
  }

  disconnectedCallback() {
    this.close();
  }

  attributeChangedCallback() {
    this.#label();
  }

  /** Opens the dialog and begins a login; with `client-id` a window, which browsers allow to a click. */
  async open() {
    this.#isWanted = true;
    const opened = this.matches('[client-id]:not([mode=redirect])')
      ? open('', 'max-auth', 'popup,width=460,height=760')
      : null;
    const dialog = await this.#own();
    if (this.#isWanted) dialog.open(opened);
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

  async #own() {
    const { Dialog } = await wanted(this);
    return (this.#dialog ??= new Dialog(this));
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

export class MaxAuthPanel extends Base {
  static observedAttributes = ['locale', 'client', 'texts'];
  /** Where the endpoints live, unless `base` says so. */
  here = HERE;

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

  /** To the title of what it shows. */
  focus() {
    this.#panel?.focus();
  }

  async #filled() {
    const { Panel } = await wanted(this);
    if (this.isConnected) this.#panel ??= new Panel(this);
    return this.#panel;
  }
}

if (!elements.get('max-auth-panel')) elements.define('max-auth-panel', MaxAuthPanel);
if (!elements.get('max-auth-button')) elements.define('max-auth-button', MaxAuthButton);
