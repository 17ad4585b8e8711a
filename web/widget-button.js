// @ts-check
/** `<max-auth-button>`: a button with a dialog around a panel. */

import { applyStyles, h, icon, localeOf } from './widget-elements.js';
import { BUTTON_CSS, words } from './widget-look.js';

/** @typedef {import('./widget-panel.js').MaxAuthPanel} MaxAuthPanel */

const PASSED_ON = ['return-to', 'locale', 'base', 'theme', 'redirect', 'client'];

export class MaxAuthButton extends HTMLElement {
  static observedAttributes = [...PASSED_ON, 'label'];

  #dialog = h('dialog', {});
  #panel = /** @type {MaxAuthPanel} */ (document.createElement('max-auth-panel'));
  #button = h('button', { class: 'primary open', type: 'button', part: 'button', 'aria-haspopup': 'dialog' });
  #close = h('button', { class: 'close', type: 'button', part: 'close' }, icon('close'));
  #closing = 0;

  connectedCallback() {
    if (!this.shadowRoot) {
      applyStyles(this.attachShadow({ mode: 'open' }), BUTTON_CSS).append(this.#button, this.#dialog);
      this.#dialog.append(this.#panel, this.#close);
      this.#button.addEventListener('click', () => this.open());
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
    this.#label();
  }

  disconnectedCallback() {
    if (this.#dialog.open) this.#dialog.close();
  }

  attributeChangedCallback() {
    this.#label();
  }

  /** Opens the dialog and begins a login. */
  open() {
    if (this.#dialog.open || !this.isConnected) return;
    for (const name of PASSED_ON) {
      const value = this.getAttribute(name);
      if (value === null) this.#panel.removeAttribute(name);
      else this.#panel.setAttribute(name, value);
    }
    this.#panel.setAttribute('locale', localeOf(this));
    if (!this.hasAttribute('return-to')) this.#panel.setAttribute('return-to', this.#here());
    this.#label();
    this.#dialog.showModal();
    this.#panel.start();
  }

  /** Closes the dialog and gives the login up. */
  close() {
    this.#dialog.close();
  }

  /** @param {FocusOptions} [options] */
  focus(options) {
    this.#button.focus(options);
  }

  /** Back to this very page, unless told otherwise. */
  #here() {
    const base = new URL(this.getAttribute('base') ?? import.meta.url, document.baseURI);
    return base.origin === location.origin ? location.pathname + location.search : location.href.split('#')[0];
  }

  #label() {
    const text = words(localeOf(this));
    this.#button.replaceChildren(icon('scan'), h('span', {}, this.getAttribute('label') ?? text.button));
    this.#close.setAttribute('aria-label', text.close);
    this.#dialog.setAttribute('aria-label', text.title);
  }

  #closed() {
    window.clearTimeout(this.#closing);
    this.#panel.stop();
    this.dispatchEvent(new CustomEvent('max-auth-close', { bubbles: true, composed: true }));
  }
}
