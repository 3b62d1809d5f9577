// One who looks at the page.
import assert from 'node:assert/strict';

import { PATIENCE, atEnd, startBrowser, startGame } from '../harness.js';

/** What a browser says itself when a frontend is gone; scripts cannot prevent that. */
const REFUSED = /^WebSocket connection to .* failed/;

/**
 * Opens the page; `before` runs there first. At the end of the test there must have been no errors, but those that `expected`
 * matches.
 */
export async function visit(t, browser, url, { expected = REFUSED, before = () => {}, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  await context.addInitScript(before);
  const page = await context.newPage();
  const errors = [];
  const note = (text) => expected.test(text) || errors.push(text);
  page.on('pageerror', (error) => note(String(error)));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && note(message.text()));
  atEnd(t, async () => {
    await context.close();
    assert.deepEqual(errors, []);
  });
  await page.goto(url);
  return new Visitor(page);
}

/** A game and a browser of one's own: what is done to the servers would disturb others. */
export async function setUp(t) {
  const [game, browser] = [await startGame(), await startBrowser()];
  atEnd(t, () => Promise.all([browser.close(), game.stop()]));
  return { game, enter: async (name, options) => (await visit(t, browser, game.page, options)).join(name) };
}

class Visitor {
  constructor(page) {
    this.page = page;
  }

  /** Fills in the form, and waits until the room has answered. */
  async join(name, room = 'lobby') {
    await this.page.getByLabel('Your name').fill(name);
    await this.page.getByLabel('Room', { exact: true }).fill(room);
    await this.page.getByRole('button', { name: 'Join' }).click();
    await this.joined();
    return this;
  }

  async joined() {
    await this.page.locator('#send[aria-disabled=false]').waitFor();
  }

  async say(text) {
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** Waits for a message. */
  async hears(text) {
    await this.page.locator('.message:not(.pending) .text').getByText(text, { exact: true }).first().waitFor();
  }

  /** The messages on the page: who, what, and whether they were acknowledged, by whom. */
  messages() {
    return this.page.locator('.message').evaluateAll((lines) =>
      lines.map((line) => ({
        name: line.querySelector('.head b').textContent,
        text: line.querySelector('.text').textContent,
        server: /^\S+-\d+/.exec(line.querySelector('.mark')?.textContent ?? '')?.[0],
      })),
    );
  }

  /** Waits until these are the members, in alphabetical order. */
  async members(...names) {
    await this.waits('members', names.join());
  }

  async event(text) {
    await this.page.locator('.event').getByText(text).last().waitFor();
  }

  /** Takes one server of a type away after the other, until none is left. */
  async scaleToNone(type, ...servers) {
    for (const _ of servers) await this.button(`One less ${type} server`).click();
    for (const server of servers) await this.server(server).waitFor({ state: 'detached' });
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  /** The row of a server. */
  server(name) {
    return this.page.locator(`[data-server="${name}"]`);
  }

  async ready(name) {
    await this.page.locator(`[data-server="${name}"][data-state=ready]`).waitFor();
  }

  /** Waits until the items of a list are these. */
  async waits(id, wanted) {
    const same = ([id, wanted]) => [...document.getElementById(id).children].map((one) => one.textContent).join() === wanted;
    await this.page.waitForFunction(same, [id, wanted]);
  }

  /** The frontend that the page is connected to. */
  async frontend() {
    await this.page.locator('[data-state=open] #connection-text').waitFor();
    return this.page.locator('#connection-text').textContent();
  }

  /** What has the focus: its label or id. */
  focused() {
    return this.page.evaluate(() => document.activeElement.ariaLabel || document.activeElement.id);
  }
}
