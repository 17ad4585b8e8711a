// @ts-check
// A real Firefox, by WebDriver BiDi. It keeps cookies of other sites apart, as it comes.

import { existsSync } from 'node:fs';
import puppeteer from 'puppeteer-core';

const PLACES = [process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'];

/** Undefined where there is none. */
export const FIREFOX = PLACES.find((path) => path && existsSync(path));

/** @param {{ preferences?: Record<string, any> }} [options] */
export async function startFirefox({ preferences = {} } = {}) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    acceptInsecureCerts: true,
    timeout: 60_000,
    extraPrefsFirefox: {
      'intl.accept_languages': 'ru',
      // Nothing leaves this machine.
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
      'app.update.enabled': false,
      'browser.safebrowsing.update.enabled': false,
      'datareporting.policy.dataSubmissionEnabled': false,
      'services.settings.server': 'data:,',
      'dom.disable_open_during_load': false,
      ...preferences,
    },
  });
  return { browser, stop: () => browser.close() };
}
