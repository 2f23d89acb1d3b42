// The page: who comes in, who is there, and the buttons.

import { Refused, enter, room as openRoom } from './api.js';
import { Call } from './call.js';
import { Gateway } from './gateway.js';
import { Insecure, Unplugged, ofError, ofLeaving, ofPhase, ofQuality } from './words.js';

// Joins in a row that came to nothing, after which somebody has to ask for another.
const MOST_JOINS = 3;
const MOST_NEWS = 5;
// From the end of a room to the end of the server that it ends with.
const ENDS_WITHIN_MS = 3_000;

const at = (id) => document.getElementById(id);

let login = null;
let gateway = null;
let call = null;
let room = null;
let microphone = null;
// Whether one wants to be in the room, also while there is no way to.
let isWanted = false;
let isMuted = false;
let isEntering = false;
// Whether the gateway is out of reach; before the first time it is not there yet.
let isAway = false;
// Of the call: `connecting`, `connected`, `searching`.
let path = 'connecting';
let joins = 0;
let slots = {};
const people = new Map();
const names = new Map();

function phase() {
  if (!room) return isEntering ? 'entering' : 'entrance';
  if (!isWanted) return 'left';
  if (isAway) return 'away';
  if (!call) return 'connecting';
  return path === 'connected' ? 'talking' : path;
}

const nameOf = (user) => names.get(user) ?? 'Somebody';

// --- What is shown

function show() {
  const now = phase();
  at('entrance').hidden = Boolean(room);
  at('room').hidden = !room;
  const state = ofPhase(now, isMuted);
  // Said again, it would be read out again.
  if (at('state').textContent !== state) at('state').textContent = state;
  if (now !== 'talking') at('quality').textContent = '';
  at('mute').hidden = now === 'left';
  at('mute').textContent = isMuted ? 'Unmute' : 'Mute';
  at('mute').classList.toggle('muted', isMuted);
  at('leave').hidden = now === 'left';
  at('rejoin').hidden = now !== 'left' || gateway.isOver;
  if (now === 'left') at('sound').hidden = true;
  showPeople();
}

function showPeople() {
  const isSelf = ([user]) => user === login?.user.id;
  const inOrder = [...people].sort((one, other) =>
    isSelf(other) - isSelf(one) || nameOf(one[0]).localeCompare(nameOf(other[0])));
  at('people').replaceChildren(...inOrder.map(([user, { muted, speaking }]) => {
    const item = document.createElement('li');
    const name = document.createElement('span');
    name.textContent = nameOf(user) + (user === login.user.id ? ' (you)' : '');
    const doing = document.createElement('span');
    doing.className = 'doing';
    doing.textContent = muted ? 'muted' : speaking ? 'speaks' : '';
    item.classList.toggle('speaks', speaking && !muted);
    item.append(name, ' ', doing);
    return item;
  }));
}

function complain(words) {
  at('error').hidden = !words;
  at('error').textContent = words ?? '';
}

function tell(words) {
  const line = document.createElement('span');
  line.textContent = `${words} `;
  at('news').append(line);
  while (at('news').children.length > MOST_NEWS) at('news').firstChild.remove();
}

// --- Coming in

async function listen() {
  if (microphone?.readyState === 'live') return;
  if (!navigator.mediaDevices?.getUserMedia) throw new Insecure('this is no secure context');
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  const media = await navigator.mediaDevices.getUserMedia({ audio });
  [microphone] = media.getAudioTracks();
  const track = microphone;
  track.onended = () => {
    if (track === microphone) leave(ofError(new Unplugged('the microphone is gone')));
  };
}

function silence() {
  microphone?.stop();
  microphone = null;
}

async function come(name, password, code) {
  login = await enter(name, password);
  await listen();
  const opened = await openRoom(login, code);
  room = opened;
  names.set(login.user.id, login.user.username);
  at('room-name').textContent = room.name;
  at('invite-code').textContent = room.code;
  // The code in the address brings one back to the same room.
  const link = new URL(document.baseURI);
  link.hash = encodeURIComponent(room.code);
  history.replaceState(null, '', link.hash);
  at('link').value = link.href;
  at('password').value = '';
  isWanted = true;
  gateway = new Gateway(login, {
    event: (what, data) => events[what]?.(data),
    open: opening,
    away() {
      isAway = true;
      show();
    },
    over: (error) => leave(ofError(error)),
  });
  show();
  at('room-name').focus();
}

async function learnNames() {
  try {
    for (const { id, username } of await login.get(`communities/${room.community}/members`)) names.set(id, username);
  } catch {
    // Without names there is still a call; the next who joins asks again.
  }
  show();
}

// --- The call

function opening(isNew) {
  isAway = false;
  complain(null);
  if (isWanted && (isNew || !call?.hasJoined)) join();
  else call?.resumed();
  show();
}

async function join() {
  call?.end({ isSaid: false });
  call = null;
  path = 'connecting';
  joins += 1;
  people.clear();
  slots = {};
  const mine = new Call({
    gateway,
    channel: room.channel,
    track: microphone,
    isMuted,
    players: at('players'),
    on: {
      joined(participants) {
        for (const { user_id: user, muted, speaking } of participants) people.set(user, { muted, speaking });
        show();
      },
      state(is) {
        path = is;
        if (is === 'connected') joins = 0;
        show();
      },
      quality(figures) { at('quality').textContent = ofQuality(figures); },
      lost() {
        if (joins < MOST_JOINS) join();
        else leave(ofLeaving('timed_out'));
      },
      silenced() { at('sound').hidden = false; },
    },
  });
  call = mine;
  show();
  try {
    await mine.join();
    if (call === mine) await learnNames();
  } catch (error) {
    // Where the gateway went away, its return joins again.
    if (call !== mine || !gateway.isOpen) return;
    leave(ofError(error instanceof Refused && error.code === 'not_found' ? new Refused(404, 'no_voice_channel') : error));
  }
}

// Out of the room, with words where it was not asked for.
function leave(words) {
  isWanted = false;
  call?.end({ isSaid: true });
  call = null;
  joins = 0;
  people.clear();
  slots = {};
  silence();
  complain(words);
  show();
}

// Taken out of the room. A server that ends tells the same, but then the gateway goes away,
// too, and its return joins again.
function dismissed(reason) {
  call.end({ isSaid: false });
  call = null;
  people.clear();
  slots = {};
  show();
  setTimeout(() => {
    if (isWanted && !call && gateway.isOpen) leave(ofLeaving(reason));
  }, ENDS_WITHIN_MS);
}

const isHere = ({ channel_id: channel }) => Boolean(call) && channel === room.channel;

const events = {
  'voice.joined'(data) {
    if (!isHere(data)) return;
    const { user_id: user, muted } = data;
    people.set(user, { muted, speaking: false });
    const announce = () => { if (user !== login.user.id) tell(`${nameOf(user)} joined.`); };
    if (names.has(user)) announce();
    else learnNames().then(announce);
    show();
  },
  'voice.left'(data) {
    if (!isHere(data)) return;
    const { user_id: user, reason } = data;
    if (user === login.user.id) {
      // That one left or came again is told of the call before this one, until this one stands.
      const isOfBefore = ['left', 'replaced'].includes(reason) && !call.hasConnected;
      if (isOfBefore) return;
      // The network was away for longer than the server waits.
      if (reason === 'timed_out' && call.hasConnected) join();
      else if (['removed', 'closed'].includes(reason)) dismissed(reason);
      else leave(ofLeaving(reason));
      return;
    }
    if (people.delete(user)) tell(`${nameOf(user)} left.`);
    show();
  },
  'voice.muted'(data) {
    if (!isHere(data)) return;
    const { user_id: user, muted } = data;
    const person = people.get(user);
    if (person) person.muted = muted;
    if (user === login.user.id && !muted) call.unmuted();
    show();
  },
  'voice.speaking'(data) {
    const person = isHere(data) && people.get(data.user_id);
    if (person) person.speaking = data.speaking;
    show();
  },
  'voice.slots'(data) {
    if (isHere(data)) slots = data.slots;
  },
};

// --- What is pressed

at('entrance').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (isEntering) return;
  isEntering = true;
  const button = event.submitter ?? at('entrance').querySelector('button');
  button.disabled = true;
  complain(null);
  try {
    await come(at('name').value.trim(), at('password').value, at('code').value.trim());
  } catch (error) {
    silence();
    complain(ofError(error));
    if (error.code === 'invalid_credentials') at('password').select();
    else if (error.code === 'not_found') at('code').select();
  } finally {
    isEntering = false;
    button.disabled = false;
  }
});

at('mute').addEventListener('click', () => {
  isMuted = !isMuted;
  call?.mute(isMuted);
  show();
});

at('leave').addEventListener('click', () => {
  leave(null);
  at('rejoin').focus();
});

at('rejoin').addEventListener('click', async () => {
  complain(null);
  try {
    await listen();
  } catch (error) {
    complain(ofError(error));
    return;
  }
  isWanted = true;
  show();
  at('mute').focus();
  if (gateway.isOpen) join();
  else gateway.retry();
});

at('sound').addEventListener('click', () => {
  at('sound').hidden = true;
  call?.sound();
});

at('copy').addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText(at('link').value);
    tell('The link is copied.');
    at('copy').textContent = 'Copied';
    setTimeout(() => { at('copy').textContent = 'Copy'; }, 2_000);
  } catch {
    at('link').select();
  }
});

function invited() {
  if (room) return;
  try {
    at('code').value = decodeURIComponent(location.hash.slice(1));
  } catch {
    // What does not decode is no code.
  }
}

window.addEventListener('hashchange', invited);
// Who goes leaves at once; a page that is brought back from the browser's memory begins anew.
window.addEventListener('pagehide', () => {
  call?.end({ isSaid: true });
  gateway?.close();
});
window.addEventListener('pageshow', ({ persisted }) => {
  if (persisted) location.reload();
});
invited();

// For tests, and for whoever looks with the browser's tools.
window.talk = Object.freeze({
  state: () => ({
    phase: phase(),
    user_id: login?.user.id ?? null,
    participants: [...people].map(([user, person]) => ({ user_id: user, name: names.get(user) ?? null, ...person })),
    slots: { ...slots },
  }),
  get peer() {
    return call?.peer ?? null;
  },
});
