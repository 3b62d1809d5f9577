/** The page that `cereus dev` serves: a chat, and the servers that carry it. */

import { Chat } from './chat.js';
import { byId } from './dom.js';
import { Game } from './game.js';
import { Panel } from './panel.js';

const last = JSON.parse(sessionStorage.getItem('place') ?? '{}');
byId('name').value = last.name ?? '';
byId('room').value = new URLSearchParams(location.search).get('room') ?? last.room ?? 'lobby';

const game = new Game();
new Chat(game, new Panel(game));
