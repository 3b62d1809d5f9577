// Makes the README's picture of the page: `npm run screenshot`.
import { fileURLToPath } from 'node:url';

import { PATIENCE, startBrowser, startGame } from './harness.js';

const target = process.argv[2] ?? fileURLToPath(new URL('../../server/web/screenshot.png', import.meta.url));
const [game, browser] = [await startGame(), await startBrowser()];
try {
  const enter = async (name) => {
    const context = await browser.newContext({ viewport: { width: 1180, height: 680 }, locale: 'en-GB', reducedMotion: 'reduce' });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    await page.goto(game.page);
    await page.getByLabel('Your name').fill(name);
    await page.getByRole('button', { name: 'Join' }).click();
    await page.locator('#send[aria-disabled=false]').waitFor();
    return page;
  };
  const say = async (page, text) => {
    await page.getByLabel('Message', { exact: true }).fill(text);
    await page.keyboard.press('Enter');
    await page.locator('.own.answered:not(.pending)').getByText(text).waitFor();
  };
  const ada = await enter('Ada');
  const bars = (count) => ada.waitForFunction((count) => document.querySelectorAll('#bars i').length >= count, count);
  const grace = await enter('Grace');
  const linus = await enter('Linus');
  await bars(12);
  await say(ada, 'Who of the two room servers is answering me?');
  await say(grace, 'Either. Look at the coloured dots.');
  await ada.getByLabel('One more room server').click();
  await ada.locator('[data-server=room-3][data-state=ready]').waitFor();
  await say(ada, 'Then let us have a third one.');
  await bars(30);
  await say(linus, 'And now I kill room-2.');
  await linus.getByLabel('Kill room-2').click();
  await bars(50);
  await say(ada, 'Nobody noticed. It is back already.');
  await say(ada, 'And nothing was lost.');
  await bars(60);
  await ada.mouse.move(0, 0);
  await ada.screenshot({ path: target });
} finally {
  await browser.close();
  await game.stop();
}
