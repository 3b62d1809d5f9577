/** The panel of types and servers, and who answered the last requests. */

import { byId, duration, element, hue, plural, say } from './dom.js';

/** Requests that are shown. */
const SHOWN = 60;
/** Bars are on a logarithmic scale from 0.1 ms, the lowest, to 1 s, the highest. */
const height = (/** @type {number} */ ms) => Math.min(1, Math.max(0.08, (Math.log10(ms) + 1) / 4));

const CALM = matchMedia('(prefers-reduced-motion: reduce)');

const STATES = {
  starting: 'Starting',
  ready: 'Ready',
  unready: 'Not ready',
  waiting: 'Restarting',
  draining: 'Leaving',
};

/** Rows stay the same elements while they are shown, so that the focus stays where it is. */
export class Panel {
  #game;
  /** The frontend that this page is connected to. */
  #home = '';
  /** Requests that were answered, by server. @type {Map<string, number>} */
  #answered = new Map();
  /** The last requests: who answered, or nobody. @type {(string | null)[]} */
  #last = [];
  /** @type {Map<string, any>} */
  #types = new Map();
  /** @type {Map<string, any>} */
  #servers = new Map();

  /** @param {import('./game.js').Game} game */
  constructor(game) {
    this.#game = game;
    game.addEventListener('change', () => this.#draw());
  }

  /** @param {string} server  The frontend one is connected to; empty when there is none. */
  at(server) {
    this.#home = server;
    this.#draw();
  }

  /** A request was answered, or was not when there is no server. @param {string | null} server @param {number} ms */
  answered(server, ms) {
    byId('pulse').hidden = false;
    if (server) this.#answered.set(server, (this.#answered.get(server) ?? 0) + 1);
    this.#last = [...this.#last, server].slice(-SHOWN);
    const bar = element('i', { className: server ? hue(server) : 'failed', title: `${server ?? 'failed'}, ${duration(ms)}` });
    bar.style.setProperty('--height', String(server ? height(ms) : 1));
    const bars = byId('bars');
    bars.append(bar);
    while (bars.childElementCount > SHOWN) bars.firstChild.remove();
    const servers = [...new Set(this.#last)].sort();
    const counts = servers.map((one) => `${one ?? 'failed'} ${this.#last.filter((other) => other === one).length}`);
    bars.ariaLabel = `Last ${plural(this.#last.length, 'request')}: ${counts.join(', ')}`;
    const row = this.#servers.get(server ?? '');
    if (!row) return;
    this.#count(row, server ?? '');
    if (CALM.matches) return;
    row.dot.getAnimations().forEach((/** @type {Animation} */ one) => one.cancel());
    row.dot.animate([{ transform: 'scale(1.7)' }, { transform: 'scale(1)' }], { duration: 350, easing: 'ease-out' });
  }

  #draw() {
    const { status, alive } = this.#game;
    byId('servers').classList.toggle('stale', !alive);
    if (!status) return say(byId('summary'), alive ? '' : 'as they were');
    const ready = status.servers.filter(({ state }) => state === 'ready').length;
    say(byId('summary'), `${ready} of ${status.servers.length} ready`);
    for (const type of status.types) this.#drawType(type);
    forgetOthers(this.#types, status.types);
    for (const server of status.servers) this.#drawServer(server);
    forgetOthers(this.#servers, status.servers);
  }

  /** @param {import('./game.js').TypeStatus} type */
  #drawType({ name, frontend, desired, ready, draining }) {
    let type = this.#types.get(name);
    if (!type) {
      type = this.#makeType(name);
      this.#types.set(name, type);
      byId('types').append(type.root);
    }
    type.wanted = desired;
    const old = this.#game.status?.servers.filter((one) => one.type === name && !one.updated && one.state !== 'draining') ?? [];
    const counts = [
      `${ready} of ${desired} ready`,
      old.length > 0 && `${old.length} to be replaced`,
      draining > 0 && `${draining} leaving`,
    ];
    say(type.kind, frontend ? 'frontend' : 'backend');
    say(type.counts, counts.filter(Boolean).join(', '));
    // Not disabled: that would take the focus away.
    type.fewer.ariaDisabled = String(desired === 0);
  }

  /** @param {string} name */
  #makeType(name) {
    const kind = element('span', { className: 'muted' });
    const counts = element('p', { className: 'counts muted' });
    const button = (/** @type {string} */ sign, /** @type {string} */ label, /** @type {number} */ step) => {
      const made = element('button', { type: 'button', className: 'step', ariaLabel: `${label} ${name} server`, title: label }, sign);
      made.addEventListener('click', () => {
        if (type.wanted + step < 0) return;
        type.wanted += step;
        this.#tell(this.#game.scale(name, type.wanted));
      });
      return made;
    };
    const [fewer, more] = [button('−', 'One less', -1), button('+', 'One more', 1)];
    const rows = element('ul', { className: 'rows' });
    const title = element('div', {}, element('h3', {}, name, ' ', kind), counts);
    const steps = element('div', { className: 'steps', role: 'group', ariaLabel: `Number of ${name} servers` }, fewer, more);
    const root = element('div', { className: 'type' }, element('div', { className: 'type-bar' }, title, steps), rows);
    // Clicks are faster than the news of what they did: the next one counts from what is wanted.
    const type = { root, kind, counts, fewer, rows, wanted: 0 };
    return type;
  }

  /** @param {import('./game.js').ServerStatus} server */
  #drawServer(server) {
    const { name, type, state, restarts, reason } = server;
    let row = this.#servers.get(name);
    if (!row) {
      row = this.#makeServer(name);
      this.#servers.set(name, row);
      this.#types.get(type)?.rows.append(row.root);
    }
    row.server = server;
    row.root.dataset.state = state;
    say(row.state, STATES[state] + (server.updated ? '' : ', to be replaced'));
    row.here.hidden = name !== this.#home;
    row.kill.ariaDisabled = String(server.pid === null);
    const why = state !== 'ready' && reason;
    const again = restarts > 0 && `${restarts === 1 ? 'restarted once' : `restarted ${restarts} times`}${why ? `: ${why}` : ''}`;
    say(row.detail, [this.#game.address(server), again].filter(Boolean).join(' · '));
    row.detail.title = reason ?? '';
    this.#count(row, name);
  }

  /** @param {string} name */
  #makeServer(name) {
    const dot = element('span', { className: `dot ${hue(name)}` });
    const state = element('span', { className: 'state' });
    const here = element('span', { className: 'here', hidden: true }, 'you');
    const detail = element('p', { className: 'detail muted' });
    const count = element('span', { className: 'count muted' });
    const kill = element('button', { type: 'button', className: 'quiet kill', ariaLabel: `Kill ${name}` }, 'Kill');
    kill.addEventListener('click', () => this.#tell(this.#game.kill(name)));
    const title = element('p', { className: 'server' }, element('b', {}, name), ' ', state, ' ', here);
    const root = element('li', {}, dot, element('div', { className: 'about' }, title, detail), count, kill);
    root.dataset.server = name;
    return { root, dot, state, here, detail, count, kill, server: null };
  }

  /** @param {any} row @param {string} name */
  #count(row, name) {
    const { sessions, clients } = row.server;
    const isFrontend = Object.keys(clients).length > 0;
    const answered = this.#answered.get(name);
    const text = isFrontend ? sessions !== null && plural(sessions, 'client') : answered && `${answered} answered`;
    say(row.count, text || '');
  }

  /** @param {Promise<string>} wish */
  async #tell(wish) {
    const said = byId('said');
    said.classList.remove('error');
    try {
      say(said, await wish);
    } catch (error) {
      said.classList.add('error');
      say(said, /** @type {Error} */ (error).message);
      this.#draw();
    }
  }
}

/** Takes away what is not shown any more. @param {Map<string, any>} shown @param {{ name: string }[]} left */
function forgetOthers(shown, left) {
  const names = new Set(left.map(({ name }) => name));
  for (const [name, { root }] of shown) {
    if (names.has(name)) continue;
    // The focus would be nowhere.
    if (root.contains(document.activeElement)) byId('servers').focus();
    root.remove();
    shown.delete(name);
  }
}
