// @ts-check
/**
 * `<max-auth-button>`: a button that opens a dialog with a QR code and signs the visitor in.
 * `<max-auth-panel>`: what is inside that dialog, for pages of its own.
 *
 *     <script type="module" src="/api/auth/max/widget.js"></script>
 *     <max-auth-button return-to="/cart"></max-auth-button>
 *
 * Needs nothing of a page's Content-Security-Policy but `script-src` and `connect-src` for the address of this file:
 * styles are constructed, and what the server draws is rebuilt here from a short list of harmless elements.
 */
import { MaxAuthButton } from './widget-button.js';
import { adoptDrawing } from './widget-drawing.js';
import { MaxAuthPanel } from './widget-panel.js';

export { MaxAuthButton, MaxAuthPanel, adoptDrawing };

if (!customElements.get('max-auth-panel')) customElements.define('max-auth-panel', MaxAuthPanel);
if (!customElements.get('max-auth-button')) customElements.define('max-auth-button', MaxAuthButton);
