// The REST API, and a login that renews itself. Tokens are kept in memory alone.

const PATIENCE_MS = 15_000;
// Renewed when so much of an access token's time is left.
const LEFT = 0.2;

// The server said no.
export class Refused extends Error {
  constructor(status, code, title, waitSeconds) {
    super(title || `status ${status}`);
    this.status = status;
    this.code = code;
    this.waitSeconds = waitSeconds;
  }
}

// Nothing was heard of the server.
export class Unreachable extends Error {}

// The address of something below the page's own folder, with whatever a proxy put before it.
export const address = (path) => new URL(`api/v1/${path}`, document.baseURI);

async function request(method, path, body, token) {
  const headers = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (token) headers.authorization = `Bearer ${token}`;
  let answer;
  let said;
  try {
    answer = await fetch(address(path), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
      cache: 'no-store',
      credentials: 'omit',
    });
    said = await answer.text();
  } catch (cause) {
    throw new Unreachable('nothing was heard of the server', { cause });
  }
  let value = null;
  try {
    value = said ? JSON.parse(said) : null;
  } catch {
    // A proxy's page, say: the status tells enough.
  }
  if (answer.ok) return value;
  // What a proxy says when the server behind it is gone.
  if ([502, 504].includes(answer.status)) throw new Unreachable('the server is away');
  const wait = Number(answer.headers.get('retry-after')) || null;
  throw new Refused(answer.status, value?.code ?? '', value?.title ?? '', wait);
}

// Somebody who is logged in.
class Login {
  #access;
  #refresh;
  #renewal = null;
  #renewAt;

  constructor(answer) {
    this.#take(answer);
    this.user = answer.user;
  }

  get token() {
    return this.#access;
  }

  // Milliseconds until the token wants to be renewed; negative when that is past.
  get renewsIn() {
    return this.#renewAt - Date.now();
  }

  get(path) {
    return this.#ask('GET', path);
  }

  post(path, body) {
    return this.#ask('POST', path, body);
  }

  // A newer token. A refresh token is good once, so there is one renewal at a time.
  renew() {
    this.#renewal ??= request('POST', 'auth/refresh', { refresh_token: this.#refresh })
      .then((answer) => this.#take(answer))
      .finally(() => { this.#renewal = null; });
    return this.#renewal;
  }

  #take(answer) {
    this.#access = answer.access_token;
    this.#refresh = answer.refresh_token;
    this.#renewAt = Date.now() + answer.expires_in * 1000 * (1 - LEFT);
  }

  async #ask(method, path, body) {
    try {
      return await request(method, path, body, this.#access);
    } catch (error) {
      if (error.status !== 401) throw error;
    }
    await this.renew();
    return request(method, path, body, this.#access);
  }
}

// Logs in; a name that nobody has is registered first.
export async function enter(username, password) {
  const logIn = async () => new Login(await request('POST', 'auth/login', { username, password }));
  try {
    return await logIn();
  } catch (error) {
    if (error.code !== 'invalid_credentials') throw error;
  }
  try {
    await request('POST', 'auth/register', { username, password });
  } catch (error) {
    // The name is somebody's, so it was the password that is wrong. An address is no name,
    // and nobody can be asked to choose another one.
    const isKnown = error.code === 'conflict' || username.includes('@');
    throw isKnown ? new Refused(401, 'invalid_credentials', '', null) : error;
  }
  return logIn();
}

// The room behind an invitation, or a new one: its name, its code and its voice channel.
export async function room(login, code) {
  const community = code
    ? await login.post('communities/join', { invite_code: code })
    : await login.post('communities', { name: `${login.user.username}’s room` });
  const path = `communities/${community.id}/channels`;
  let channel = (await login.get(path)).find(({ kind }) => kind === 'voice');
  if (!channel && community.owner_id === login.user.id) {
    channel = await login.post(path, { name: 'Talk', kind: 'voice' });
  }
  if (!channel) throw new Refused(404, 'no_voice_channel', '', null);
  return { community: community.id, name: community.name, code: community.invite_code, channel: channel.id };
}
