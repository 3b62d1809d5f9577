// A running game and a browser, started for a test and never left behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const cereus = process.env.CEREUS_BIN ?? fileURLToPath(new URL('../../target/debug/cereus', import.meta.url));
/** Debug builds and browsers on a busy machine are slow. */
export const PATIENCE = 30_000;

/** The program of a name on the path. */
function program(name) {
  const found = process.env.PATH.split(delimiter).map((folder) => join(folder, name)).find(existsSync);
  if (!found) throw new Error(`${name} is missing: install the package, or say where it is with CHROMIUM`);
  return found;
}

/** `cereus dev` on ports of its own: `page` is where its page is, `stop` ends it. */
export async function startGame(args = ['--tcp', '127.0.0.1:0', '--ws', '127.0.0.1:0', '--http', '127.0.0.1:0']) {
  if (!existsSync(cereus)) throw new Error(`${cereus} is missing: build it, or say where with CEREUS_BIN`);
  // Other games of this user are not met there.
  const folder = mkdtempSync(join(tmpdir(), 'cereus-browser-'));
  const env = { ...process.env, XDG_RUNTIME_DIR: folder };
  const child = spawn(cereus, ['dev', ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const said = [];
  const page = await new Promise((resolve, reject) => {
    const fail = (what) => reject(new Error(`${cereus} ${what}:\n${said.join('\n')}`));
    const patience = setTimeout(fail, PATIENCE, 'did not say where its page is');
    ended.then(() => fail('ended'));
    createInterface(child.stdout).on('line', (line) => {
      said.push(line);
      const [, address] = / page: +(http:\S+)/.exec(line) ?? [];
      if (!address) return;
      clearTimeout(patience);
      resolve(address);
    });
  });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
    const patience = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await ended;
    clearTimeout(patience);
    rmSync(folder, { recursive: true, force: true });
  };
  return { page, stop, child, ended, said };
}

/** A browser without a window. Root may not use its sandbox. */
export const startBrowser = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? program('chromium'),
    chromiumSandbox: process.getuid?.() !== 0,
  });

const stacks = new WeakMap();

/** Runs at the end of a test: what was begun last ends first. */
export function atEnd(t, end) {
  if (!stacks.has(t)) {
    stacks.set(t, []);
    t.after(async () => {
      const errors = [];
      for (const end of stacks.get(t).reverse()) await end().catch((error) => errors.push(error));
      if (errors.length > 0) throw errors[0];
    });
  }
  stacks.get(t).push(end);
}
