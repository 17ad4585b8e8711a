// @ts-check
/** What widget.js needs of the server before anything else is there: here for who reads the files as they are. */
import { TEXTS } from './texts.js';

/** The button's words, by language. */
export const LABELS = { ru: TEXTS.ru.shared.button, en: TEXTS.en.shared.button };

/** The addresses of the rest, which change with what is in it. */
export const [DIALOG, LIGHT, ELSEWHERE] = ['dialog.js', 'light.js', 'elsewhere.js'];

/** What light.js says, by language, and how it looks. @type {Record<'ru' | 'en', Record<string, string>>} */
export const WORDS = /** @type {any} */ ({
  ru: { ...TEXTS.ru.client, ...TEXTS.ru.shared, ...TEXTS.ru.widget },
  en: { ...TEXTS.en.client, ...TEXTS.en.shared, ...TEXTS.en.widget },
});
export const SHEET = '';
