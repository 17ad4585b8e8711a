import type { Driver } from './client.js';
import type { Texts } from './widget-look.js';

export interface SharedProps {
  /** Where the visitor goes afterwards: this page, unless told otherwise. */
  returnTo?: string;
  locale?: 'ru' | 'en' | (string & {});
  /** Where the server's endpoints are: `https://example.ru/api/auth/max`. */
  base?: string;
  theme?: 'light' | 'dark' | 'auto';
  /** False: the visitor is signed in without leaving the page. */
  redirect?: boolean;
  /** The app that asks, where it is not this site itself. */
  client?: string;
  texts?: Texts;
  /** Who is to ask MAX: the server's first that works, unless told otherwise. */
  driver?: Driver;
}
export interface ButtonProps extends SharedProps {
  label?: string;
  /** The button is on another site than the server; `success` then has a code. */
  clientId?: string;
  /** The address of the site's backend that takes the code. */
  redeem?: string;
  redirectUri?: string;
  mode?: 'popup' | 'redirect';
  scope?: string;
}
export interface PanelProps extends SharedProps {
  autostart?: boolean;
}
type Told<Name extends `max-auth-${string}` & keyof GlobalEventHandlersEventMap> = (
  event: GlobalEventHandlersEventMap[Name],
) => void;
export interface PanelEvents {
  onStatus?: Told<'max-auth-status'>;
  onQr?: Told<'max-auth-qr'>;
  onConfirm?: Told<'max-auth-confirm'>;
  onPassword?: Told<'max-auth-password'>;
  /** `event.preventDefault()`: the page goes on itself. */
  onSuccess?: Told<'max-auth-success'>;
  onError?: Told<'max-auth-error'>;
}
export interface ButtonEvents extends PanelEvents {
  onClose?: Told<'max-auth-close'>;
}

export const EVENTS: string[];
export function handlerOf(event: string): string;
export function attributesOf(props: Record<string, any>): Record<string, any>;
