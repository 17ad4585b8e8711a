// @ts-check
/** The ready page: a panel that begins at once. Query: `return_to`, `locale`. */

const query = new URLSearchParams(location.search);
const language = query.get('locale') ?? navigator.language ?? 'ru';
const locale = /^(ru|be|uk|kk)\b/i.test(language) ? 'ru' : 'en';
document.documentElement.lang = locale;
document.title = locale === 'ru' ? 'Вход через MAX' : 'Sign in with MAX';

const panel = document.querySelector('max-auth-panel');
const returnTo = query.get('return_to');
if (panel) {
  panel.setAttribute('locale', locale);
  if (returnTo) panel.setAttribute('return-to', returnTo);
  panel.setAttribute('autostart', '');
  await customElements.whenDefined('max-auth-panel');
  const { state } = /** @type {import('./widget.js').MaxAuthPanel} */ (panel);
  if (state === 'idle') /** @type {import('./widget.js').MaxAuthPanel} */ (panel).start();
}
export {};
