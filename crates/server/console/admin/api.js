// The admin API of the node that this page came from.

/** How long an answer may take, in milliseconds. */
const ANSWER_MAX_MS = 10_000;

export class Api {
  #key;

  /** `key` gives the admin key, or nothing. */
  constructor(key) {
    this.#key = key;
  }

  /** Asks; parameters that are empty are left out. */
  get(path, parameters = {}) {
    const wanted = Object.entries(parameters).filter(([, value]) => value !== "");
    const query = wanted.map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    return this.#ask(query.length ? `${path}?${query.join("&")}` : path);
  }

  /** Has something done. */
  post(path, body) {
    return this.#ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }

  /** The answer; throws what is wrong, as a sentence. */
  async #ask(path, { headers, ...request } = {}) {
    const key = this.#key();
    let response, answer;
    try {
      response = await fetch(path, {
        ...request,
        headers: { ...headers, ...(key && { Authorization: `Bearer ${key}` }) },
        cache: "no-store",
        signal: AbortSignal.timeout(ANSWER_MAX_MS),
      });
      answer = await response.json();
    } catch {
      throw new Error("The node does not answer.");
    }
    if (response.ok) return answer;
    throw new Error(response.status === 401 ? "This node wants its admin.key: type it in above." : `${answer.detail}.`);
  }
}
