// @ts-check
/** The dialog of `<max-auth-button>`, around a panel. */

import { HERE } from './here.js';
import { applyStyles, h, icon, localeOf, textsOf } from './widget-elements.js';
import { DIALOG_CSS, PANEL_PARTS, words } from './widget-look.js';

/** @typedef {import('./widget.js').MaxAuthButton} MaxAuthButton */

const PASSED_ON = ['return-to', 'locale', 'base', 'theme', 'redirect', 'client', 'driver'];

export class Dialog {
  #button;
  #dialog = h('dialog', { part: 'dialog' });
  #panel = h('max-auth-panel', { exportparts: PANEL_PARTS });
  #close = h('button', { class: 'close', type: 'button', part: 'close' }, icon('close'));
  #closing = 0;

  /** @param {MaxAuthButton} button its element, which has a shadow root */
  constructor(button) {
    this.#button = button;
    this.#dialog.append(this.#panel);
    applyStyles(/** @type {ShadowRoot} */ (button.shadowRoot), DIALOG_CSS).append(this.#dialog);
    this.#close.addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('close', () => this.#closed());
    // Only what begins AND ends on the backdrop closes it: not a text selection that slipped out.
    let pressed = false;
    this.#dialog.addEventListener('pointerdown', (event) => (pressed = event.target === this.#dialog));
    this.#dialog.addEventListener('click', (event) => {
      if (pressed && event.target === this.#dialog) this.#dialog.close();
    });
    this.#panel.addEventListener('max-auth-stale', () => this.#dialog.close());
    this.#panel.addEventListener('max-auth-stays', () => {
      this.#closing = window.setTimeout(() => this.#dialog.close(), 1600);
    });
  }

  /** Opens the dialog and begins a login. */
  open() {
    if (this.#dialog.open || !this.#button.isConnected) return;
    for (const name of PASSED_ON) {
      const value = this.#button.getAttribute(name);
      if (value === null) this.#panel.removeAttribute(name);
      else this.#panel.setAttribute(name, value);
    }
    const locale = localeOf(this.#button);
    this.#panel.setAttribute('locale', locale);
    if (!this.#button.hasAttribute('return-to')) this.#panel.setAttribute('return-to', this.#here());
    // Its child goes on into the panel.
    const hasLogo = this.#button.querySelector(':scope > [slot=logo]');
    this.#panel.replaceChildren(...(hasLogo ? [h('slot', { name: 'logo', slot: 'logo' })] : []));
    this.#panel.texts = textsOf(this.#button);
    const { close, title } = words(locale, this.#panel.texts);
    this.#close.setAttribute('aria-label', close);
    this.#dialog.setAttribute('aria-label', title);
    // A dialog gives the first focus to what can have it; that is to be the title, when it is there.
    this.#close.remove();
    this.#dialog.showModal();
    this.#dialog.append(this.#close);
    void this.#panel.start().then(() => this.#panel.focus());
  }

  /** Closes the dialog and gives the login up. */
  close() {
    this.#dialog.close();
  }

  /** Back to this very page, unless told otherwise. */
  #here() {
    const base = new URL(this.#button.getAttribute('base') ?? HERE, document.baseURI);
    return base.origin === location.origin ? location.pathname + location.search : location.href.split('#')[0];
  }

  #closed() {
    window.clearTimeout(this.#closing);
    this.#panel.stop();
    this.#button.dispatchEvent(new CustomEvent('max-auth-close', { bubbles: true, composed: true }));
  }
}
