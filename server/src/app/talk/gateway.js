// The gateway: a WebSocket that comes back by itself and goes on where it was
// (docs/server/gateway.md).

import { Refused, Unreachable, address } from './api.js';

// From an attempt to the next, doubled each time, and scattered so that not all come at once.
const FIRST_WAIT_MS = 500;
const MOST_WAIT_MS = 15_000;
// A connection on which nothing is heard is given up after so long.
const OPENS_WITHIN_MS = 10_000;
const ANSWERS_WITHIN_MS = 10_000;
const MOST_HEARTBEAT_MS = 15_000;
// Close codes after which there is nothing to come back to.
const LOGIN_ENDED = 4005;
const TAKEN_OVER = 4011;
const TOO_MANY_SESSIONS = 4012;

// `on` hears what happens: `event(name, data)`, `open(isNew)` when a session began anew or
// goes on, `away(error)` when the connection is gone for now, `over(error)` when for good.
export class Gateway {
  #login;
  #on;
  #socket = null;
  #session = null;
  #seq = 0;
  #wait = FIRST_WAIT_MS;
  #isOpen = false;
  #isOver = false;
  #doubts = false;
  #heartbeat = MOST_HEARTBEAT_MS;
  #timers = new Map();
  #asked = new Set();

  constructor(login, on) {
    this.#login = login;
    this.#on = on;
    this.retry = this.retry.bind(this);
    window.addEventListener('online', this.retry);
    this.#connect();
  }

  get isOpen() {
    return this.#isOpen;
  }

  // Whether it has ended for good.
  get isOver() {
    return this.#isOver;
  }

  // Says something that has no answer. Whether there was somebody to hear it.
  say(message) {
    return this.#isOpen && this.#send(message);
  }

  // Says something and waits for the answer with that `op`.
  ask(message, op) {
    return new Promise((resolve, reject) => {
      if (!this.say(message)) {
        reject(new Unreachable('the gateway is away'));
        return;
      }
      const question = { about: message.op, op };
      const timer = setTimeout(() => question.end(reject, new Unreachable('no answer came')), ANSWERS_WITHIN_MS);
      question.end = (how, what) => {
        clearTimeout(timer);
        this.#asked.delete(question);
        how(what);
      };
      question.resolve = (answer) => question.end(resolve, answer);
      question.reject = (error) => question.end(reject, error);
      this.#asked.add(question);
    });
  }

  // Ends the session, too.
  close() {
    this.#end(1000);
  }

  // Without waiting any longer: the network is back, or somebody asks for it.
  retry() {
    if (this.#isOver || this.#socket) return;
    this.#wait = FIRST_WAIT_MS;
    this.#connect();
  }

  async #connect() {
    this.#stop('connect');
    // Stands for the connection until there is one.
    const attempt = {};
    this.#socket = attempt;
    if (this.#doubts || this.#login.renewsIn < 0) {
      const error = await this.#login.renew().then(() => null, (cause) => cause);
      if (this.#socket !== attempt) return;
      if (error?.status === 401) return this.#finish(error);
      if (error) return this.#lost(null, error);
    }
    const url = address('gateway');
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url, ['vc.v1', `bearer.${this.#login.token}`]);
    this.#socket = socket;
    let wasOpen = false;
    this.#later('alive', OPENS_WITHIN_MS, () => this.#drop(socket));
    socket.onopen = () => { wasOpen = true; };
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#heard(JSON.parse(data));
    };
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#lost(wasOpen ? code : null);
    };
  }

  // What lies silent may take minutes to say that it is closed.
  #drop(socket) {
    if (socket !== this.#socket) return;
    socket.close();
    this.#lost(null);
  }

  #heard(message) {
    if (message.op === 'hello') {
      this.#later('alive', ANSWERS_WITHIN_MS, () => this.#drop(this.#socket));
      this.#heartbeat = Math.min(message.heartbeat_interval_ms, MOST_HEARTBEAT_MS);
      this.#send(this.#session
        ? { op: 'resume', session_id: this.#session, seq: this.#seq }
        : { op: 'identify' });
    } else if (message.op === 'ready') {
      this.#session = message.session_id;
      this.#seq = 0;
      this.#opened(true);
    } else if (message.op === 'resumed') {
      this.#opened(false);
    } else if (message.op === 'invalid_session') {
      this.#session = null;
      this.#send({ op: 'identify' });
    } else if (message.op === 'heartbeat_ack') {
      this.#stop('alive');
    } else if (message.op === 'event') {
      this.#seq = message.seq;
      this.#on.event(message.event, message.data);
    } else {
      this.#answered(message);
    }
  }

  #answered(message) {
    for (const question of this.#asked) {
      if (message.op === 'error' && message.about === question.about) {
        const wait = message.retry_after_ms ? Math.ceil(message.retry_after_ms / 1000) : null;
        question.reject(new Refused(0, message.code, message.title, wait));
        return;
      }
      if (message.op === question.op) {
        question.resolve(message);
        return;
      }
    }
  }

  #opened(isNew) {
    this.#stop('alive');
    this.#isOpen = true;
    this.#doubts = false;
    this.#wait = FIRST_WAIT_MS;
    this.#beat();
    this.#renewLater();
    this.#on.open(isNew);
  }

  #beat() {
    this.#later('beat', this.#heartbeat, () => {
      this.#send({ op: 'heartbeat', seq: this.#seq });
      this.#later('alive', ANSWERS_WITHIN_MS, () => this.#drop(this.#socket));
      this.#beat();
    });
  }

  // The connection lasts as long as its token: a newer one is told in time.
  #renewLater() {
    this.#later('renew', Math.max(this.#login.renewsIn, 1000), async () => {
      try {
        await this.#login.renew();
        this.#send({ op: 'authenticate', token: this.#login.token });
        this.#renewLater();
      } catch {
        // The server closes the connection when the token is over; coming back says why.
      }
    });
  }

  #lost(code, error = new Unreachable('the connection is gone')) {
    this.#clear();
    if (code === LOGIN_ENDED) return this.#finish(new Refused(401, 'login_ended', '', null));
    if (code === TAKEN_OVER) return this.#finish(new Refused(409, 'taken_over', '', null));
    if (code === TOO_MANY_SESSIONS) return this.#finish(new Refused(409, 'too_many_sessions', '', null));
    this.#on.away(error);
    const wait = this.#wait * (0.5 + Math.random());
    this.#wait = Math.min(this.#wait * 2, MOST_WAIT_MS);
    // A browser does not say why it got no connection: it may be the token, of which a
    // server that was started anew knows nothing.
    this.#doubts = code === null;
    this.#later('connect', wait, () => this.#connect());
  }

  #finish(error) {
    this.#end(1000);
    this.#on.over(error);
  }

  #end(code) {
    this.#isOver = true;
    window.removeEventListener('online', this.retry);
    const socket = this.#socket;
    this.#clear();
    socket?.close?.(code);
  }

  #clear() {
    this.#isOpen = false;
    this.#socket = null;
    for (const name of [...this.#timers.keys()]) this.#stop(name);
    for (const question of [...this.#asked]) question.reject(new Unreachable('the connection is gone'));
  }

  #send(message) {
    // One that is about to be closed takes nothing any more.
    const takes = this.#socket?.readyState === WebSocket.OPEN;
    if (takes) this.#socket.send(JSON.stringify(message));
    return takes;
  }

  #later(name, ms, task) {
    this.#stop(name);
    this.#timers.set(name, setTimeout(() => {
      this.#timers.delete(name);
      task();
    }, ms));
  }

  #stop(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}
