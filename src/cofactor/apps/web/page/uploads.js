// Sends ratings to the service to be stored, one after another, and keeps those that did not get there.

import { ask, queryOf, userPath } from "./api.js";
import { keep, recall } from "./storage.js";

/** Sends pending ratings, one request at a time; ratings given meanwhile join the queue. */
export class Uploads {
  constructor(ratings) {
    this.ratings = ratings;
    this.sending = null;
  }

  /** The token that storing needs here; it is forgotten when the tab is closed. */
  get token() {
    return recall("token", "", "sessionStorage");
  }

  set token(token) {
    keep("token", token || null, "sessionStorage");
  }

  /** Send all pending ratings, and return the list after the last one; null if there was none. */
  send(request) {
    this.request = request;
    this.sending ??= this.sendAll().finally(() => (this.sending = null));
    return this.sending;
  }

  async sendAll() {
    let list = null;
    while (this.ratings.owner !== null && this.ratings.pending.size) {
      const [item, value] = this.ratings.pending.entries().next().value;
      list = await this.sendOne(item, value, this.ratings.pending.size > 1);
    }
    return list;
  }

  async sendOne(item, value, moreFollow) {
    const query = queryOf(moreFollow ? { n: 1 } : this.request);
    const path = `${userPath(this.ratings.owner, "ratings", item)}?${query}`;
    const method = value === null ? "DELETE" : "PUT";
    try {
      const changed = await ask(path, { method, body: value === null ? undefined : { value }, token: this.token });
      this.ratings.stored(item, value);
      return moreFollow ? null : changed.list;
    } catch (failure) {
      if (failure.kind !== "unknown-item" && failure.kind !== "off-the-scale") throw failure;
      this.ratings.stored(item, value); // the model has no such item or rating, and never will: give up on it
      return null;
    }
  }

  /** Fetch what the store has under the name. */
  async fetch(signal) {
    const { ratings } = await ask(userPath(this.ratings.owner, "ratings"), { signal });
    this.ratings.take(ratings);
  }
}
