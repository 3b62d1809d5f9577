/** What runs, as `cereus dev` tells it, and what can be wished of it. */

/**
 * @typedef {object} TypeStatus
 * @property {string} name
 * @property {boolean} frontend
 * @property {number} desired
 * @property {number} ready
 * @property {number} updated
 * @property {number} draining
 *
 * @typedef {object} ServerStatus
 * @property {string} name
 * @property {string} type
 * @property {'starting' | 'ready' | 'unready' | 'waiting' | 'draining'} state
 * @property {boolean} updated
 * @property {number | null} sessions
 * @property {number} restarts
 * @property {string | null} reason
 * @property {number | null} pid
 * @property {Record<string, string>} clients
 *
 * @typedef {object} Status
 * @property {TypeStatus[]} types
 * @property {ServerStatus[]} servers
 */

/** Until a lost stream of events is tried again, in milliseconds. */
const RETRY = 1000;

/** The game; tells of each `change`. */
export class Game extends EventTarget {
  /** @type {Status | null} */
  status = null;
  /** `cereus dev` is there, as far as is known. */
  alive = true;
  /** @type {EventSource | null} */
  #events = null;
  /** The last wish. @type {Promise<unknown>} */
  #wished = Promise.resolve();

  constructor() {
    super();
    // A browser has six connections for all windows with this page: hidden ones need none.
    document.addEventListener('visibilitychange', () => this.#follow());
    this.#follow();
  }

  #follow() {
    this.#events?.close();
    this.#events = null;
    if (document.hidden) return;
    const events = (this.#events = new EventSource('/api/events'));
    events.onmessage = ({ data }) => this.#changed(JSON.parse(data), true);
    events.onerror = () => {
      events.close();
      this.#changed(null, false);
      setTimeout(() => this.#events === events && this.#follow(), RETRY);
    };
  }

  /** @param {Status | null} status @param {boolean} alive */
  #changed(status, alive) {
    [this.status, this.alive] = [status, alive];
    this.dispatchEvent(new Event('change'));
  }

  /** Where a frontend takes WebSockets, or none. @param {ServerStatus} server */
  address(server) {
    const shown = Object.values(server.clients).find((client) => client.startsWith('ws'));
    const [address] = shown?.split(' ') ?? [];
    // All addresses of a machine are no address to connect to.
    return address?.replace(/\/\/(0\.0\.0\.0|\[::\])/, `//${location.hostname}`);
  }

  /** A frontend that takes clients, when there is one. Any, but another than `last` if possible. @param {string} last */
  async frontend(last) {
    for (;;) {
      const ready = this.status?.servers.filter((one) => one.state === 'ready' && this.address(one)) ?? [];
      const others = ready.filter(({ name }) => name !== last);
      const choice = others.length > 0 ? others : ready;
      if (choice.length > 0) return choice[Math.floor(Math.random() * choice.length)];
      await new Promise((resolve) => this.addEventListener('change', resolve, { once: true }));
    }
  }

  /** @param {string} type @param {number} replicas */
  scale = (type, replicas) => this.#wish('scale', { type, replicas });

  /** Ends the process of a server, as a crash would. @param {string} server */
  kill = (server) => this.#wish('kill', { server });

  /** One wish after the other: none overtakes an earlier one. @param {string} wish @param {object} body */
  #wish(wish, body) {
    const answer = this.#wished.then(() => this.#tell(wish, body));
    this.#wished = answer.catch(() => {});
    return answer;
  }

  /** What is done about it, in words. @param {string} wish @param {object} body @returns {Promise<string>} */
  async #tell(wish, body) {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`/api/${wish}`, { method: 'POST', headers, body: JSON.stringify(body) }).catch(() => null);
    if (!response) throw new Error('cereus dev does not answer');
    const answer = await response.json().catch(() => ({ error: `cereus dev answered with status ${response.status}` }));
    if (!response.ok) throw new Error(answer.error);
    return answer.said;
  }
}
