/** The conversation: a connection to a frontend that is kept, a room, and what is said there. */

import { CereusError, Client, ClientError } from '../cereus.js';
import { Log } from './log.js';
import { byId, duration, element, plural, say } from './dom.js';

/** From one small request to the next: they show how fast answers are, and who gives them. In milliseconds. */
const PULSE = 500;
/** Until something is tried again that no server could do. */
const RETRY = 300;
/** How often a message is sent that certainly was not handled. */
const ATTEMPTS = 10;
const MEMBERS_SHOWN = 5;
/** Until members are asked for again that may have changed unheard. In milliseconds. */
const RECOUNT = 700;

const after = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @typedef {{ name: string, room: string }} Place  Who one is, and where. */

export class Chat {
  #game;
  #panel;
  #client;
  #log = new Log();
  /** Where one is, or wants to be again after a reconnect. @type {Place | null} */
  #place = null;
  /** Replaced whenever one enters or leaves: what came before it gives up. */
  #turn = {};
  /** The room server knows. */
  #joined = false;
  /** Done when one is out of the last room, or the attempt was given up. */
  #left = Promise.resolve();
  /** @type {string[]} */
  #members = [];
  /** Somebody came or left since the members were last asked for. */
  #overtaken = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #recounting;
  /** The frontends that were ready the last time, by name. @type {string[]} */
  #ready = [];
  /** The frontend that was chosen last. */
  #frontend = '';
  /** The game's room does not know the small request. */
  #mute = false;
  #beating = false;

  /** @param {import('./game.js').Game} game @param {import('./panel.js').Panel} panel */
  constructor(game, panel) {
    this.#game = game;
    this.#panel = panel;
    const address = async () => {
      const frontend = await game.frontend(this.#frontend);
      this.#frontend = frontend.name;
      return /** @type {string} */ (game.address(frontend));
    };
    this.#client = new Client(address, { timeout: 5000, connectTimeout: 3000, reconnect: { first: 300, longest: 1500 } });
    this.#client.on('sys.state', (change) => this.#changed(change));
    this.#client.on('sys.draining', () => this.#move());
    this.#client.on('onMembers', ({ members }) => this.#counted(members));
    this.#client.on('onNewUser', ({ content }) => this.#came(content.replace(/^New user: /, '')));
    this.#client.on('onLeave', ({ name }) => this.#gone(name));
    this.#client.on('onMessage', ({ name, content }) => this.#log.heard(name, content, this.#place?.name));

    byId('join').addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#join({ name: byId('name').value.trim(), room: byId('room').value.trim() });
    });
    byId('composer').addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#write();
    });
    byId('leave').addEventListener('click', () => this.#leave());
    game.addEventListener('change', () => {
      this.#watch();
      this.#show();
    });
    setInterval(() => this.#beat(), PULSE);
    this.#open();
  }

  // ----------------------------------------------------------------------------------------------- the connection

  async #open() {
    while (this.#client.state !== 'open') await this.#client.open().catch(() => after(RETRY));
  }

  /** @param {import('../cereus.js').StateChange} change */
  #changed({ state, previous, error }) {
    this.#joined = false;
    this.#panel.at(state === 'open' ? this.#frontend : '');
    if (state === 'reconnecting') this.#setMembers([]);
    if (state === 'open' && this.#place) this.#enter(this.#place, true).catch((error) => this.#refused(error));
    // Nobody asked for it: thrown out, or not understood.
    if (state === 'closed' && previous !== 'connecting' && error) {
      this.#log.event(error.message);
      after(2000).then(() => this.#open());
    }
    this.#show();
  }

  /** The frontend is about to stop: another one is better now than later, if there is one. */
  #move() {
    const others = this.#game.status?.servers ?? [];
    const isOther = (/** @type {import('./game.js').ServerStatus} */ one) =>
      one.state === 'ready' && one.name !== this.#frontend && this.#game.address(one);
    if (!others.some(isOther) || this.#log.waiting > 0) return;
    this.#client.close();
    this.#open();
  }

  /** Says where things stand. */
  #show() {
    const { status, alive } = this.#game;
    const { state } = this.#client;
    const frontends = status?.servers.filter((one) => this.#game.address(one)) ?? [];
    const isReady = frontends.some((one) => one.state === 'ready');
    const text = {
      open: this.#frontend,
      connecting: status && !isReady ? 'Waiting for a frontend' : 'Connecting…',
      reconnecting: status && !isReady ? 'Reconnecting, no frontend is ready' : 'Reconnecting…',
      closed: 'Connecting…',
    }[state];
    byId('connection').dataset.state = alive || state === 'open' ? state : 'closed';
    say(byId('connection-lead'), state === 'open' ? 'Connected to ' : '');
    say(byId('connection-text'), alive || state === 'open' ? text : 'cereus dev is not running');
    if (state !== 'open') byId('latency').hidden = true;

    const hasRoom = status?.types.some(({ name }) => name === 'room') ?? true;
    // Of frontends that are not there nobody knows what they would take.
    const isUnknown = status?.types.some(({ name, frontend }) => frontend && !status.servers.some(({ type }) => type === name));
    const canTalk = status === null || (hasRoom && (frontends.length > 0 || isUnknown));
    byId('no-chat').hidden = canTalk;
    byId('join').hidden = !canTalk || this.#place !== null;
    byId('talk').hidden = !canTalk || this.#place === null;
    say(byId('no-chat-title'), hasRoom ? 'No frontend for browsers' : 'No chat in this game');
    const missing = hasRoom ? 'The chat needs a frontend with a WebSocket acceptor.' : 'The chat needs a server type called room.';
    say(byId('no-chat-text'), `${missing} The servers are shown all the same.`);

    const notice = byId('notice');
    notice.hidden = this.#joined;
    byId('send').ariaDisabled = String(!this.#joined);
    if (!alive) say(notice, 'cereus dev is not running. This page comes back when it does.');
    else if (state !== 'open') say(notice, 'The connection is lost. Reconnecting…');
    else say(notice, 'Waiting for a room server…');
  }

  // ------------------------------------------------------------------------------------------------------ the room

  /** @param {Place} place */
  async #join(place) {
    const button = byId('join-button');
    if (!place.name || !place.room || button.ariaDisabled === 'true') return;
    button.ariaDisabled = 'true';
    say(button, 'Joining…');
    byId('join-error').hidden = true;
    try {
      await this.#open();
      this.#place = place;
      await this.#enter(place, false);
    } catch (cause) {
      this.#refused(cause);
    }
    button.ariaDisabled = 'false';
    say(button, 'Join');
    this.#show();
    if (this.#place) {
      sessionStorage.setItem('place', JSON.stringify(place));
      byId('message').focus();
    }
  }

  /** The room will not have us. @param {unknown} cause */
  #refused(cause) {
    this.#place = null;
    say(byId('join-error'), explain(cause));
    byId('join-error').hidden = false;
    this.#show();
  }

  /** Joins, as often as it takes; rejects when it never will. @param {Place} place @param {boolean} again */
  async #enter(place, again) {
    const turn = (this.#turn = {});
    say(byId('room-name'), place.room);
    byId('again').href = `/?room=${encodeURIComponent(place.room)}`;
    if (!again) this.#log.clear();
    await this.#left;
    while (this.#turn === turn && this.#client.state === 'open') {
      try {
        const { server } = await this.#count(place);
        if (this.#turn !== turn) return;
        this.#joined = true;
        this.#log.event(again ? `Connected again, through ${this.#frontend}` : `You joined through ${this.#frontend}; ${server} answered`);
        return this.#show();
      } catch (error) {
        if (this.#turn === turn && isFinal(error)) throw error;
        await after(RETRY);
      }
    }
  }

  #leave() {
    this.#place = null;
    this.#joined = false;
    this.#setMembers([]);
    this.#show();
    byId('name').focus();
    this.#left = this.#part();
  }

  /** Ends the membership: as the room does it or, where nobody knows whether it did, with the session. */
  async #part() {
    const turn = (this.#turn = {});
    while (this.#turn === turn) {
      try {
        return void (await this.#request('room.room.leave'));
      } catch (error) {
        if (!isUnheard(error)) {
          this.#client.close();
          return this.#open();
        }
        await after(RETRY);
      }
    }
  }

  /** @param {string[]} members */
  #setMembers(members) {
    this.#members = members.toSorted((one, other) => one.localeCompare(other));
    const shown = this.#members.slice(0, MEMBERS_SHOWN).map((name) => element('li', {}, name));
    const more = members.length - shown.length;
    byId('members').replaceChildren(...shown, ...(more > 0 ? [element('li', { className: 'muted' }, `and ${more} more`)] : []));
    byId('members').ariaLabel = plural(members.length, 'member');
    byId('empty').hidden = members.length !== 1 || this.#log.spoken;
  }

  /** @param {string} name */
  #came(name) {
    // Before the room has answered, that is oneself.
    if (!this.#joined && name === this.#place?.name) return;
    this.#log.event(`${name} joined`);
    this.#overtaken = true;
    // Somebody of that name, or one who was counted before it was heard of.
    if (this.#members.includes(name)) this.#recount();
    else this.#setMembers([...this.#members, name]);
  }

  /** @param {string} name */
  #gone(name) {
    this.#log.event(`${name} left`);
    this.#overtaken = true;
    const at = this.#members.lastIndexOf(name);
    // Farewells may overtake: that one came is heard next.
    if (at < 0) return this.#recount();
    this.#setMembers(this.#members.filter((_, index) => index !== at));
  }

  /** Nobody says goodbye for those whose frontend has crashed. */
  #watch() {
    const ready = this.#game.status?.servers.filter((one) => one.state === 'ready' && this.#game.address(one)) ?? [];
    const names = ready.map(({ name }) => name);
    if (!this.#ready.every((name) => names.includes(name))) this.#recount();
    this.#ready = names;
  }

  /** Asks who is there: to join again where one is tells just that. */
  #recount() {
    clearTimeout(this.#recounting);
    const ask = () => this.#joined && this.#count(this.#place ?? {}).catch(() => this.#recount());
    this.#recounting = setTimeout(ask, RECOUNT);
  }

  /** Joins; the list of members comes behind the answer. @param {Partial<Place>} place */
  #count(place) {
    this.#overtaken = false;
    return this.#request('room.room.join', place);
  }

  /** @param {string[]} members */
  #counted(members) {
    this.#setMembers(members);
    // News may overtake the list: whether it knows of them it does not say.
    if (this.#overtaken) this.#recount();
  }

  // -------------------------------------------------------------------------------------------------- what is said

  #write() {
    const field = byId('message');
    const content = field.value.trim();
    if (!content || !this.#place) return;
    if (!this.#joined) return byId('notice').animate([{ opacity: 0.3 }, { opacity: 1 }], 300);
    field.value = '';
    this.#send(content);
  }

  /** @param {string} content */
  async #send(content) {
    const place = this.#place;
    const { name = '' } = place ?? {};
    const entry = this.#log.said(name, content, () => this.#send(content));
    byId('empty').hidden = true;
    for (let attempt = 1; ; attempt++) {
      const start = performance.now();
      try {
        const { server } = await this.#request('room.room.message', { name, content });
        return entry.answered(server, performance.now() - start);
      } catch (error) {
        if (!isUnheard(error) || attempt === ATTEMPTS) return entry.failed(explain(error));
        await after(RETRY);
        if (this.#place !== place) return entry.failed('You left the room.');
      }
    }
  }

  /** @param {string} route @param {object} [data] */
  async #request(route, data) {
    const start = performance.now();
    try {
      const answer = await this.#client.request(route, data);
      this.#panel.answered(answer.server, performance.now() - start);
      return answer;
    } catch (error) {
      if (error instanceof CereusError) this.#panel.answered(null, performance.now() - start);
      throw error;
    }
  }

  /** How fast is it now? */
  async #beat() {
    const hasRoom = this.#game.status?.types.some(({ name }) => name === 'room');
    if (this.#client.state !== 'open' || document.hidden || this.#mute || this.#beating || !hasRoom) return;
    this.#beating = true;
    const start = performance.now();
    try {
      await this.#request('room.room.hello', { name: this.#place?.name ?? 'page' });
      say(byId('latency'), duration(performance.now() - start));
      byId('latency').hidden = false;
    } catch (error) {
      if (error instanceof CereusError && error.code === 'PIT-404') this.#mute = true;
    }
    this.#beating = false;
  }
}

/** Certainly no server has handled it. @param {unknown} error */
const isUnheard = (error) =>
  error instanceof CereusError && (error.code === 'PIT-503' || error.message === 'no servers available of this type');

/** To try again would change nothing. @param {unknown} error */
const isFinal = (error) => error instanceof CereusError && /^PIT-4/.test(error.code);

/** @param {unknown} error */
function explain(error) {
  if (error instanceof CereusError) {
    if (error.code === 'PIT-404') return 'The room of this game does not chat.';
    if (isUnheard(error)) return 'No room server could take it.';
    if (error.code === 'PIT-502') return 'The server ended before it answered; it may have been delivered.';
    return `${error.message} (${error.code})`;
  }
  if (error instanceof ClientError) {
    if (error.reason === 'offline') return 'Not connected.';
    if (error.reason === 'lost') return 'The connection was lost before the answer; it may have been delivered.';
    if (error.reason === 'timeout') return 'No answer in time; it may have been delivered.';
  }
  return /** @type {Error} */ (error).message;
}
