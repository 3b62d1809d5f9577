/** What was said in a room, as it is shown. */

import { byId, duration, element, hue } from './dom.js';

/** Older lines are taken away. */
const LINES = 500;
/** One is at the end when so many pixels are below, at most. */
const NEAR = 40;

/** @typedef {{ root: any, content: string, mark: any }} Entry  A message of one's own. */

export class Log {
  #list = byId('log');
  /** Own messages that were not heard back yet, oldest first. @type {Entry[]} */
  #unheard = [];
  /** Own messages that wait for their answer. @type {Set<Entry>} */
  #pending = new Set();
  /** Somebody has said something. */
  spoken = false;
  /** Who wrote the last line, when it was a message. */
  #author = '';

  constructor() {
    const newest = byId('newest');
    newest.addEventListener('click', () => {
      this.#list.scrollTop = this.#list.scrollHeight;
      this.#list.focus();
    });
    this.#list.addEventListener('scroll', () => this.#isAtEnd() && (newest.hidden = true));
    new ResizeObserver(() => newest.hidden && (this.#list.scrollTop = this.#list.scrollHeight)).observe(this.#list);
  }

  /** How many messages wait for their answer. */
  get waiting() {
    return this.#pending.size;
  }

  clear() {
    this.#list.replaceChildren();
    [this.#unheard, this.#pending, this.spoken, this.#author] = [[], new Set(), false, ''];
  }

  /** Something that happened. @param {string} text */
  event(text) {
    this.#author = '';
    this.#add(element('li', { className: 'event' }, text));
  }

  /** A message that everybody gets. One's own is on the page already. @param {string} name @param {string} content @param {string} [own] */
  heard(name, content, own) {
    const at = name === own ? this.#unheard.findIndex((entry) => entry.content === content) : -1;
    if (at >= 0) {
      const [{ root }] = this.#unheard.splice(at, 1);
      root.classList.remove('pending');
      return;
    }
    this.#message(name, content);
  }

  /**
   * A message of one's own, before anybody knows of it.
   *
   * @param {string} name @param {string} content @param {() => void} again
   */
  said(name, content, again) {
    const root = this.#message(name, content);
    root.classList.add('own', 'pending');
    const mark = element('span', { className: 'mark' });
    root.append(mark);
    const entry = { root, content, mark };
    this.#unheard.push(entry);
    this.#pending.add(entry);
    return {
      /** @param {string} server @param {number} ms */
      answered: (server, ms) => {
        this.#pending.delete(entry);
        root.classList.add('answered');
        mark.append(element('span', { className: `dot ${hue(server)}` }), `${server} · ${duration(ms)}`);
      },
      /** @param {string} why */
      failed: (why) => {
        this.#pending.delete(entry);
        this.#unheard = this.#unheard.filter((other) => other !== entry);
        root.classList.remove('pending');
        root.classList.add('failed');
        const button = element('button', { type: 'button', className: 'quiet' }, 'Send again');
        button.addEventListener('click', () => {
          root.remove();
          again();
          byId('message').focus();
        });
        mark.append(why, ' ', button);
      },
    };
  }

  /** @param {string} name @param {string} content */
  #message(name, content) {
    this.spoken = true;
    byId('empty').hidden = true;
    const follows = name === this.#author;
    this.#author = name;
    const time = new Date().toLocaleTimeString([], { hour: 'numeric', minute: '2-digit' });
    const head = element('p', { className: 'head' }, element('b', {}, name), ' ', element('time', { className: 'muted' }, time));
    const root = element('li', { className: `message${follows ? ' follows' : ''}` }, head, element('p', { className: 'text' }, content));
    this.#add(root);
    return root;
  }

  /** @param {any} line */
  #add(line) {
    const wasAtEnd = this.#isAtEnd();
    this.#list.append(line);
    while (this.#list.childElementCount > LINES) this.#list.firstChild.remove();
    if (wasAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
    byId('newest').hidden = wasAtEnd;
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }
}
