// The call: one peer connection with the server, the microphone on its first media line and
// a slot on each other one, on which the server sends whoever it wants heard.

import { Refused, Unreachable } from './api.js';

// How many others can be heard at once.
const SLOTS = 9;
// A path that is gone for so long does not come back by itself.
const PATIENCE_MS = 3_000;
// From an offer to a connection, and a little more than the server gives it.
const CONNECTS_WITHIN_MS = 18_000;
// Restarts of one path before it is begun anew.
const MOST_RESTARTS = 3;
// From the last sound to the word that one is mute: what is under way is no loss to others.
const SETTLES_MS = 100;
// Longest wait for the word that the server lets sound through.
const HEARS_WITHIN_MS = 1_000;
const LOOK_MS = 2_000;

// `on` hears what happens: `joined(participants)`, `state(word)` of the connection,
// `quality(figures)`, `lost(error)` when the call cannot go on, `silenced()` when the browser
// wants to be asked before it plays sound.
export class Call {
  #gateway;
  #channel;
  #track;
  #on;
  #players;
  #sender;
  #isMuted;
  #isOver = false;
  #isAsked = false;
  #hasJoined = false;
  #hasConnected = false;
  #restarts = 0;
  #timers = {};
  #last = null;

  constructor({ gateway, channel, track, isMuted, players, on }) {
    this.#gateway = gateway;
    this.#channel = channel;
    this.#track = track;
    this.#isMuted = isMuted;
    this.#players = players;
    this.#on = on;
    this.peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.#sender = this.peer.addTransceiver('audio', { direction: 'sendonly' }).sender;
    for (let slot = 0; slot < SLOTS; slot += 1) {
      this.#play(this.peer.addTransceiver('audio', { direction: 'recvonly' }).receiver.track);
    }
    this.peer.onconnectionstatechange = () => this.#changed();
    this.peer.onicecandidate = ({ candidate }) => {
      this.#gateway.say({ op: 'voice_candidate', candidate: candidate?.candidate ?? '' });
    };
    this.#timers.look = setInterval(() => this.#look(), LOOK_MS);
  }

  // Whether the server has let it in.
  get hasJoined() {
    return this.#hasJoined;
  }

  // Whether there was a connection at least once.
  get hasConnected() {
    return this.#hasConnected;
  }

  // Asks to be let in.
  async join() {
    if (!this.#isMuted) await this.#sender.replaceTrack(this.#track);
    const message = { op: 'voice_join', channel_id: this.#channel, muted: this.#isMuted };
    // Before anything else is heard: what is told of who is there goes on from here.
    await this.#offer(message, 'voice_joined', ({ participants }) => {
      this.#hasJoined = true;
      this.#on.joined(participants);
    });
    this.#connectsSoon();
  }

  // Without sound nothing is sent at all, so that the numbers of what is sent have no gap that
  // others would count as loss.
  async mute(isMuted) {
    this.#isMuted = isMuted;
    if (isMuted) {
      await this.#sender.replaceTrack(null);
      await new Promise((done) => { setTimeout(done, SETTLES_MS); });
      if (this.#isMuted) this.#gateway.say({ op: 'voice_mute', muted: true });
      return;
    }
    // Sound before the server lets it through would be such a gap: `unmuted` says when. It
    // says nothing where it never heard that one was mute.
    this.#gateway.say({ op: 'voice_mute', muted: false });
    clearTimeout(this.#timers.unmute);
    this.#timers.unmute = setTimeout(() => this.unmuted(), HEARS_WITHIN_MS);
  }

  // The server has heard that one is not mute any more.
  async unmuted() {
    clearTimeout(this.#timers.unmute);
    if (!this.#isMuted && !this.#isOver) await this.#sender.replaceTrack(this.#track);
  }

  // The gateway is back: what was not said while it was away is said again.
  resumed() {
    if (this.#isOver) return;
    this.#gateway.say({ op: 'voice_mute', muted: this.#isMuted });
    if (this.peer.connectionState !== 'connected') this.#restart();
  }

  // Leaves; nothing is heard of this call after that.
  end({ isSaid }) {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#timers.look);
    clearTimeout(this.#timers.unmute);
    this.#calm();
    if (isSaid) this.#gateway.say({ op: 'voice_leave' });
    this.peer.onconnectionstatechange = null;
    this.peer.onicecandidate = null;
    this.peer.close();
    this.#players.replaceChildren();
  }

  #play(track) {
    const player = document.createElement('audio');
    player.autoplay = true;
    player.srcObject = new MediaStream([track]);
    this.#players.append(player);
    const play = () => player.play().catch((error) => {
      if (error.name === 'NotAllowedError' && !this.#isOver) this.#on.silenced();
    });
    track.onunmute = play;
  }

  // What the browser wanted to be asked for.
  sound() {
    for (const player of this.#players.children) player.play().catch(() => this.#on.silenced());
  }

  async #offer(message, op, heard = () => {}) {
    await this.peer.setLocalDescription();
    const { sdp } = this.peer.localDescription;
    const answer = await this.#gateway.ask({ ...message, sdp }, op);
    if (this.#isOver) throw new Unreachable('the call is over');
    heard(answer);
    await this.peer.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
  }

  #changed() {
    const state = this.peer.connectionState;
    if (state === 'connected') {
      this.#calm();
      this.#restarts = 0;
      this.#hasConnected = true;
      this.#on.state('connected');
    } else if (state === 'failed') {
      this.#on.state('searching');
      this.#restart();
    } else if (state === 'disconnected') {
      this.#on.state('searching');
      this.#timers.patience ??= setTimeout(() => this.#restart(), PATIENCE_MS);
    } else if (this.#restarts === 0) {
      this.#on.state('connecting');
    }
  }

  // Looks for another path, in the same call.
  async #restart() {
    clearTimeout(this.#timers.patience);
    this.#timers.patience = null;
    if (this.#isOver || this.#isAsked || !this.#gateway.isOpen) return;
    this.#restarts += 1;
    if (this.#restarts > MOST_RESTARTS) return this.#lost(new Unreachable('there is no path for sound'));
    this.#isAsked = true;
    try {
      this.peer.restartIce();
      await this.#offer({ op: 'voice_offer' }, 'voice_answer');
      this.#connectsSoon();
    } catch (error) {
      // Where the gateway went away, its return begins this again.
      if (error instanceof Refused) this.#lost(error);
      else if (this.#gateway.isOpen && !this.#isOver) this.#timers.patience = setTimeout(() => this.#restart(), PATIENCE_MS);
    } finally {
      this.#isAsked = false;
    }
  }

  #connectsSoon() {
    clearTimeout(this.#timers.connect);
    if (this.peer.connectionState === 'connected') return;
    this.#timers.connect = setTimeout(() => this.#restart(), CONNECTS_WITHIN_MS);
  }

  #calm() {
    clearTimeout(this.#timers.patience);
    clearTimeout(this.#timers.connect);
    this.#timers.patience = null;
  }

  #lost(error) {
    if (this.#isOver) return;
    this.end({ isSaid: true });
    this.#on.lost(error);
  }

  // How well others are heard since the last look.
  async #look() {
    if (this.peer.connectionState !== 'connected') return;
    const all = [...(await this.peer.getStats()).values()];
    if (this.#isOver) return;
    const heard = all.filter(({ type }) => type === 'inbound-rtp');
    const counts = new Map(heard.map((one) => [one.id, one]));
    const since = (one, name) => one[name] - (this.#last?.get(one.id)?.[name] ?? 0);
    const sum = (name) => heard.reduce((whole, one) => whole + Math.max(since(one, name), 0), 0);
    const [received, lost] = [sum('packetsReceived'), sum('packetsLost')];
    const speaking = heard.filter((one) => since(one, 'packetsReceived') > 0);
    this.#last = counts;
    const pair = all.find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
    this.#on.quality({
      lossPercent: received + lost > 0 ? (100 * lost) / (received + lost) : null,
      jitterMs: speaking.length > 0 ? Math.max(...speaking.map(({ jitter }) => (jitter ?? 0) * 1000)) : null,
      roundTripMs: pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
    });
  }
}
