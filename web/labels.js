// @ts-check
/** What widget.js needs of the server before anything else is there: here for who reads the files as they are. */
import { TEXTS } from './texts.js';

/** The button's words, by language. */
export const LABELS = { ru: TEXTS.ru.shared.button, en: TEXTS.en.shared.button };

/** The addresses of the rest, which change with what is in it. */
export const [DIALOG, LIGHT, ELSEWHERE] = ['dialog.js', 'light.js', 'elsewhere.js'];

/** Of each way but the old one what happens on the phone. @param {Record<string, string[]>} ways */
const lines = ({ account_qr: _, ...ways }) =>
  Object.fromEntries(Object.entries(ways).map(([name, [, line]]) => [name, line]));

/** What light.js says, by language, and how it looks. @type {Record<'ru' | 'en', Record<string, string>>} */
export const WORDS = /** @type {any} */ ({
  ru: { ...TEXTS.ru.client, ...TEXTS.ru.shared, ...TEXTS.ru.widget, ways: lines(TEXTS.ru.shared.ways) },
  en: { ...TEXTS.en.client, ...TEXTS.en.shared, ...TEXTS.en.widget, ways: lines(TEXTS.en.shared.ways) },
});
export const SHEET = '';
