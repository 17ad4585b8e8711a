// @ts-check
/** The ready page, in the language that the server chose for it: a panel that begins at once. Query: `return_to`, `request`. */

const query = new URLSearchParams(location.search);
const panel = document.querySelector('max-auth-panel');
const returnTo = query.get('return_to');
const request = query.get('request');
if (panel) {
  panel.setAttribute('locale', document.documentElement.lang);
  if (returnTo) panel.setAttribute('return-to', returnTo);
  if (request) panel.setAttribute('request', request);
  panel.setAttribute('autostart', '');
  await customElements.whenDefined('max-auth-panel');
  const { state } = /** @type {import('./widget.js').MaxAuthPanel} */ (panel);
  if (state === 'idle') /** @type {import('./widget.js').MaxAuthPanel} */ (panel).start();
}
export {};
