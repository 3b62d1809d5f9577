// Real servers as processes: started, waited for, and never left behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const cereus = process.env.CEREUS_BIN ?? fileURLToPath(new URL('../../../target/debug/cereus', import.meta.url));
/** Debug builds on a busy machine are slow. */
const START = 30_000;

/** The conformance server lies beside the stock binary. */
export const binaries = { cereus, conformance: join(dirname(cereus), 'conformance') };

/** A port that nothing listens on. */
export async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

/** Starts a program and waits until it writes a line that matches `ready`. At the end of the test it gets `stop`. */
export async function start(t, program, args, { ready, stop, env = {} }) {
  if (!existsSync(program)) throw new Error(`${program} is missing: build it, or say where with CEREUS_BIN`);
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = [];
  const ended = once(child, 'exit');
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill(stop);
    const patience = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(patience);
  });
  child.stderr.setEncoding('utf8').on('data', (text) => said.push(text));
  await new Promise((resolve, reject) => {
    const fail = (what) => reject(new Error(`${program} ${what}:\n${said.join('\n')}`));
    const patience = setTimeout(fail, START, 'did not become ready');
    ended.then(() => fail('ended'));
    createInterface(child.stdout).on('line', (line) => {
      said.push(line);
      if (!ready.test(line)) return;
      clearTimeout(patience);
      resolve(undefined);
    });
  });
  return { child, ended, said: () => said.join('\n') };
}
