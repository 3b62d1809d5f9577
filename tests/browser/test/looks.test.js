// Used by keyboard, in dark and light, on a phone.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { atEnd, startBrowser, startGame } from '../harness.js';
import { visit } from './visitor.js';

let game, browser;
before(async () => ([game, browser] = [await startGame(), await startBrowser()]));
after(() => Promise.all([browser?.close(), game?.stop()]));

test('by keyboard alone', async (t) => {
  const ada = await visit(t, browser, game.page);
  const { keyboard } = ada.page;
  const tab = async () => (await keyboard.press('Tab'), ada.focused());
  await ada.ready('room-2');
  assert.equal(await ada.focused(), 'name');
  await keyboard.type('Ada');
  assert.equal(await tab(), 'room');
  await keyboard.press('ControlOrMeta+a');
  await keyboard.type('keys');
  await keyboard.press('Enter');
  await ada.joined();
  assert.equal(await ada.focused(), 'message');
  await keyboard.type('typed');
  await keyboard.press('Enter');
  await ada.hears('typed');
  assert.equal(await ada.focused(), 'message');
  const order = [];
  for (let step = 0; step < 8; step++) order.push(await tab());
  assert.deepEqual(order, [
    'send',
    ...['One less connector server', 'One more connector server', 'Kill connector-1'],
    ...['One less room server', 'One more room server', 'Kill room-1', 'Kill room-2'],
  ]);
  await keyboard.press('Shift+Tab');
  await keyboard.press('Shift+Tab');
  const ring = await ada.page.evaluate(() => getComputedStyle(document.activeElement).outline);
  assert.match(ring, /solid 2px/);
  await keyboard.press('Space');
  await ada.ready('room-3');
  assert.equal(await ada.focused(), 'One more room server');
  // The focus does not get lost with what it was on.
  await ada.button('Kill room-3').focus();
  await ada.page.evaluate(() => document.querySelector('[aria-label="One less room server"]').click());
  await ada.server('room-3').waitFor({ state: 'detached' });
  assert.equal(await ada.focused(), 'servers');
  await ada.page.locator('#leave').focus();
  await keyboard.press('Enter');
  await ada.page.getByLabel('Your name').waitFor();
  assert.equal(await ada.focused(), 'name');
});

test('what is said is told to those who do not see it', async (t) => {
  const ada = await (await visit(t, browser, game.page)).join('Ada', 'aria');
  const log = ada.page.getByRole('log', { name: 'Messages' });
  assert.equal(await log.getAttribute('aria-live'), 'polite');
  const unnamed = 'input, button, [role=img], [role=group], ul:not(.rows)';
  const names = await ada.page.locator(unnamed).evaluateAll((all) =>
    all.map((one) => one.ariaLabel || one.labels?.[0]?.textContent || one.textContent).filter((name) => !name.trim()),
  );
  assert.deepEqual(names, []);
});

/** The contrast of each text that is shown with what is behind it, worst first. */
function contrasts() {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => {
    const linear = (value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    throw new Error('the page has no ground');
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
    if (!own || !node.checkVisibility() || node.closest('[aria-disabled=true], .pending, .unseen, time')) continue;
    const [one, other] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
    found.push([Math.round(((one + 0.05) / (other + 0.05)) * 100) / 100, node.textContent.slice(0, 40)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}

for (const colorScheme of ['light', 'dark']) {
  for (const width of [360, 1280]) {
    test(`${colorScheme}, ${width} pixels wide`, async (t) => {
      const room = `${colorScheme}-${width}-${'long'.repeat(5)}`;
      const ada = await visit(t, browser, game.page, { colorScheme, viewport: { width, height: 700 } });
      const fits = async () => {
        const wide = await ada.page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${wide} pixels`);
        const [[worst, text]] = await ada.page.evaluate(contrasts);
        assert.ok(worst >= 4.5, `${text}: ${worst}`);
      };
      await ada.ready('room-1');
      await fits();
      await ada.join('A'.repeat(32), room);
      await ada.say('word '.repeat(60) + 'x'.repeat(120));
      await ada.page.locator('.message.answered').waitFor();
      await fits();
      const ground = await ada.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const [, red] = /rgb\((\d+)/.exec(ground);
      assert.equal(Number(red) < 128, colorScheme === 'dark', ground);
      // Where one writes is seen without scrolling.
      const { y, height } = await ada.page.locator('#composer').boundingBox();
      assert.ok(y + height <= 700, `${y + height}`);
    });
  }
}

test('a game without rooms and without WebSocket shows its servers', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cereus-browser-'));
  atEnd(t, async () => rmSync(folder, { recursive: true }));
  const head = 'apiVersion: cereus.dev/v1alpha1\nkind: ServerType\n';
  const drain = '{ linger: 0s, deadline: 3s }';
  writeFileSync(join(folder, 'hall.yaml'), `${head}metadata: { name: hall }\nspec: { replicas: 1, drain: ${drain} }\n`);
  const other = await startGame(['-f', folder, '--http', '127.0.0.1:0']);
  atEnd(t, () => other.stop());
  const ada = await visit(t, browser, other.page);
  await ada.ready('hall-1');
  await ada.page.getByText('No chat in this game').waitFor();
  assert.equal(await ada.page.getByLabel('Your name').isVisible(), false);
  await ada.button('One more hall server').click();
  await ada.ready('hall-2');
});
