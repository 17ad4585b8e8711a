/** What the elements are to TypeScript: their names, their events, and the properties that no code declares. */
import type { ConfirmData, ErrorData, PasswordData, QrData, StatusData, SuccessData } from './client.js';
import type { CodeData } from './elsewhere.js';
import type { Texts } from './widget-look.js';
import type { MaxAuthButton, MaxAuthPanel } from './widget.js';

export type * from './client.js';
export type { CodeData } from './elsewhere.js';
export type { Texts } from './widget-look.js';
export * from './widget.js';

declare module './widget.js' {
  interface MaxAuthButton {
    /** Texts in place of ours; read when the dialog opens. */
    texts?: Texts;
  }
  interface MaxAuthPanel {
    /** Texts in place of ours; read when a login begins. */
    texts?: Texts;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'max-auth-button': MaxAuthButton;
    'max-auth-panel': MaxAuthPanel;
  }
  // They bubble, so that a page can listen anywhere.
  interface GlobalEventHandlersEventMap {
    'max-auth-status': CustomEvent<StatusData>;
    'max-auth-qr': CustomEvent<Pick<QrData, 'expiresAt' | 'ttl' | 'qrLink' | 'textCode'>>;
    'max-auth-confirm': CustomEvent<ConfirmData>;
    'max-auth-password': CustomEvent<PasswordData>;
    // With `client-id` what CodeData has, and nothing else.
    'max-auth-success': CustomEvent<SuccessData & Partial<CodeData>>;
    'max-auth-error': CustomEvent<ErrorData>;
    'max-auth-close': CustomEvent<null>;
  }
}
