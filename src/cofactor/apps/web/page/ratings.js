// The visitor's ratings: in this browser, or stored under a name, with those still to be sent.

import { keep, onForeignChange, recall } from "./storage.js";

const MOST_STEPS_BACK = 50;
const MOST_SENT = 1000; // as many as the service takes

/** The visitor's ratings. Dispatches "change" with the changed items and when the change began. */
export class Ratings extends EventTarget {
  constructor() {
    super();
    this.history = [];
    this.scale = { low: -Infinity, high: Infinity };
    this.read();
    onForeignChange((name) => {
      if (name === "pending") return;
      const owner = this.owner;
      this.read();
      this.dispatchEvent(new CustomEvent("replaced", { detail: { newOwner: owner !== this.owner } }));
    });
  }

  read() {
    this.owner = recall("name", null);
    this.pending = new Map(recall("pending", []));
    if (this.owner === null) this.entries = new Map(recall("ratings", []).map((entry) => [entry.item, entry]));
    this.entries ??= new Map();
  }

  get(item) {
    return this.entries.get(item);
  }

  valueOf(item) {
    return this.entries.get(item)?.value ?? null;
  }

  get size() {
    return this.entries.size;
  }

  /** Return all ratings, those given last first. */
  newestFirst() {
    return [...this.entries.values()].sort((one, other) => other.at - one.at);
  }

  /** Return the ratings as the API takes them, without some items, and without those off the model's scale. */
  sent(...besides) {
    const { low, high } = this.scale;
    const fits = ({ item, value }) => !besides.includes(item) && low <= value && value <= high;
    return this.newestFirst()
      .filter(fits)
      .slice(0, MOST_SENT)
      .map(({ item, value }) => ({ item, value }));
  }

  /** Rate an item, or delete its rating if the value is null. If it `joins` the last change of the same item, as the
   * next key on the same stars does, one undo takes both back. */
  rate(item, value, since = performance.now(), joins = false) {
    const before = this.entries.get(item.item) ?? null;
    if ((before?.value ?? null) === value) return;
    const after = value === null ? null : this.entryOf(item, value, before);
    const step = { item: item.item, title: item.title, year: item.year, before, after };
    const last = this.last?.length === 1 && this.last[0].item === item.item ? this.last[0] : null;
    if (joins && last) this.history[this.history.length - 1] = [{ ...step, before: last.before }];
    else this.remember([step]);
    this.apply([[item.item, after]], since);
  }

  /** Give many ratings, in one step that can be undone. */
  rateAll(items) {
    const changes = items.map((item) => ({ item, before: this.entries.get(item.item) ?? null }));
    const fresh = changes.filter(({ item, before }) => before?.value !== item.value);
    if (!fresh.length) return;
    const done = fresh.map(({ item, before }) => ({ ...item, before, after: this.entryOf(item, item.value, before) }));
    this.remember(done);
    this.apply(done.map(({ item, after }) => [item, after]), performance.now());
  }

  entryOf(item, value, before) {
    const { title, year } = item;
    return { item: item.item, title, year, value, at: before?.at ?? Date.now(), predicted: before?.predicted };
  }

  /** Delete all ratings, in one step that can be undone. */
  clear() {
    const changes = this.newestFirst().map((before) => ({ ...before, before, after: null }));
    this.remember(changes);
    this.apply(changes.map(({ item }) => [item, null]), performance.now());
  }

  remember(changes) {
    this.history = [...this.history, changes].slice(-MOST_STEPS_BACK);
  }

  /** Return the changes that the next undo would undo; null if there are none. */
  get last() {
    return this.history.at(-1) ?? null;
  }

  /** Undo the last change. */
  undo() {
    const changes = this.history.pop();
    if (changes) this.apply(changes.map(({ item, before }) => [item, before]), performance.now());
  }

  apply(changes, since) {
    for (const [item, entry] of changes) {
      if (entry) this.entries.set(item, entry);
      else this.entries.delete(item);
      if (this.owner !== null) this.pending.set(item, entry?.value ?? null);
    }
    this.keep();
    this.dispatchEvent(new CustomEvent("change", { detail: { items: changes.map(([item]) => item), since } }));
  }

  /** Remember what the model had predicted before it knew a rating. */
  predict(item, predicted) {
    const entry = this.entries.get(item);
    if (entry && entry.predicted == null) {
      this.entries.set(item, { ...entry, predicted });
      this.keep();
    }
  }

  /** Mark a rating as stored, unless another one was given since. */
  stored(item, value) {
    if (this.pending.get(item) === value) this.pending.delete(item);
    this.keep();
  }

  /** Use a name from now on; the ratings given so far are still to be stored. */
  own(name) {
    for (const { item, value } of this.entries.values()) this.pending.set(item, value);
    this.owner = name;
    this.history = [];
    this.keep();
  }

  /** Undo `own` after the service refused the name: all ratings stay in this browser. */
  disown() {
    this.owner = null;
    this.pending.clear();
    this.keep();
  }

  /** Use no name any more; what is stored stays stored. */
  leave() {
    this.owner = null;
    this.entries.clear();
    this.pending.clear();
    this.history = [];
    this.keep();
    this.dispatchEvent(new CustomEvent("change", { detail: { items: [], since: performance.now() } }));
  }

  /** Take over the stored ratings, and on top those still to be sent. */
  take(kept) {
    const old = this.entries;
    this.entries = new Map();
    kept.forEach(({ item, title, rating }, index) => {
      const { at = index - kept.length, predicted, year } = old.get(item) ?? {};
      this.entries.set(item, { item, title, year, value: rating, at, predicted });
    });
    for (const [item, value] of this.pending) {
      if (value === null) this.entries.delete(item);
      else this.entries.set(item, { ...(old.get(item) ?? { item, title: null, at: Date.now() }), value });
    }
    this.dispatchEvent(new CustomEvent("replaced", { detail: { newOwner: false } }));
  }

  keep() {
    keep("name", this.owner);
    keep("ratings", this.owner === null ? [...this.entries.values()] : null);
    keep("pending", this.owner === null ? null : [...this.pending]);
  }
}
