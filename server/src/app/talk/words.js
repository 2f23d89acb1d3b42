// What happens, in plain words, and what can be done about it.

import { Unreachable } from './api.js';

const waitOf = ({ waitSeconds }) => `Wait ${waitSeconds ? `${waitSeconds} s` : 'a moment'}, then try again.`;

const REFUSALS = {
  invalid_credentials: () => 'The password is not the one of this name. Try again, or choose another name.',
  too_often: (error) => `There were too many attempts. ${waitOf(error)}`,
  no_room: (error) => `The server is full. ${waitOf(error)}`,
  database_busy: (error) => `The server is busy. ${waitOf(error)}`,
  database_full: () => 'The server has no room to store anything. Whoever runs it has to make some.',
  not_found: () => 'There is no such invitation. Ask for the code again, or leave it out to make a room of your own.',
  no_voice_channel: () => 'The room has no voice channel. Whoever owns it has to make one.',
  invalid_refresh_token: () => 'Your login has ended. Load the page again and log in.',
  login_ended: () => 'Your login was ended. Load the page again and log in.',
  taken_over: () => 'Another connection goes on with this one. Load the page again to talk here.',
  too_many_sessions: () => 'You are connected too many times. Close other pages, then load this one again.',
};

const MICROPHONE = {
  NotAllowedError: 'The microphone was refused. Allow it for this page (beside the address), then try again.',
  NotFoundError: 'No microphone was found. Plug one in, then try again.',
  NotReadableError: 'The microphone does not answer: another program may have it. Close that, then try again.',
  SecurityError: 'The browser gives the microphone to no page here. Look into its settings.',
  AbortError: 'The microphone could not be started. Try again.',
};

// No microphone is to be had on a page like this one.
export class Insecure extends Error {}
// The microphone went away.
export class Unplugged extends Error {}

export function ofError(error) {
  if (error instanceof Unreachable) return 'Nothing is heard of the server. Check your network, then try again.';
  if (error instanceof Insecure) return 'Browsers give the microphone only to pages that come over HTTPS, or from this very machine. Open the page by its https address.';
  if (error instanceof Unplugged) return 'The microphone is gone. Plug it in, then join again.';
  if (error instanceof DOMException && MICROPHONE[error.name]) return MICROPHONE[error.name];
  const words = REFUSALS[error.code];
  if (words) return words(error);
  if (error.status >= 500) return 'The server failed. Try again in a moment.';
  return `That did not work: ${error.message}. Try again.`;
}

const REASONS = {
  timed_out: 'No way for sound to the server was found: a firewall may hold back UDP. Try another network, then join again.',
  replaced: 'You joined from somewhere else, so you are not heard from here any more.',
  removed: 'You are not in this room any more.',
  closed: 'The room was closed.',
};

export const ofLeaving = (reason) => REASONS[reason] ?? 'You were taken out of the room. Join again.';

const PHASES = {
  connecting: 'Connecting…',
  talking: 'Connected: you can talk.',
  searching: 'The way for sound is interrupted. Looking for another one…',
  away: 'The server is out of reach. Trying again by itself…',
  left: 'You are not in the room.',
};

export function ofPhase(phase, isMuted) {
  if (phase === 'talking' && isMuted) return 'Connected, and you are muted: nobody hears you.';
  return PHASES[phase] ?? '';
}

const ms = (figure) => (figure === null ? 'unknown' : `${Math.round(figure)} ms`);

// Bounds at which people begin to notice.
export function ofQuality({ lossPercent, jitterMs, roundTripMs }) {
  if (lossPercent === null) return `Nobody talks · round trip ${ms(roundTripMs)}`;
  let how = 'Sound is good';
  if (lossPercent > 1 || jitterMs > 30 || roundTripMs > 300) how = 'Sound is fair';
  if (lossPercent > 5 || jitterMs > 60 || roundTripMs > 600) how = 'Sound is poor';
  return `${how} · ${lossPercent.toFixed(1)} % lost · jitter ${ms(jitterMs)} · round trip ${ms(roundTripMs)}`;
}
