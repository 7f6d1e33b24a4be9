// Brings ratings to the store of the service, one after another, and keeps those that did not get there.

import { ask, queryOf, userPath } from "./api.js";
import { keep, recall } from "./storage.js";

/** Sends what is pending. One sending goes on at a time; what is rated meanwhile joins it. */
export class StoreKeeper {
  constructor(ratings) {
    this.ratings = ratings;
    this.sending = null;
  }

  /** The token that writing needs here; it is forgotten with the tab. */
  get token() {
    return recall("token", "", "sessionStorage");
  }

  set token(token) {
    keep("token", token || null, "sessionStorage");
  }

  /** Send all that is pending, and return the list after the last of it; null where nothing was. */
  send(wish) {
    this.wish = wish;
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
    const query = queryOf(moreFollow ? { n: 1 } : this.wish);
    const path = `${userPath(this.ratings.owner, "ratings", item)}?${query}`;
    const method = value === null ? "DELETE" : "PUT";
    try {
      const changed = await ask(path, { method, body: value === null ? undefined : { value }, token: this.token });
      this.ratings.stored(item, value);
      return moreFollow ? null : changed.list;
    } catch (failure) {
      if (failure.kind !== "unknown-item" && failure.kind !== "off-the-scale") throw failure;
      this.ratings.stored(item, value); // this model has no such item, or no such rating: it will never take it
      return null;
    }
  }

  /** Fetch what the store has under the name. */
  async fetch(signal) {
    const { ratings } = await ask(userPath(this.ratings.owner, "ratings"), { signal });
    this.ratings.take(ratings);
  }
}
