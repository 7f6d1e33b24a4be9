// Whether the service and its ratings store answer: says so when they do not, and when they do again.

import { ask } from "./api.js";
import { byId, make } from "./elements.js";

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 15_000;

/** Watches the service. Dispatches "back" when it, or its store, answers again. */
export class Connection extends EventTarget {
  constructor() {
    super();
    this.trouble = null;
    this.wait = FIRST_WAIT;
    addEventListener("online", () => this.trouble && this.look());
  }

  /** The service did not answer. */
  lost() {
    this.begin("service", "The service does not answer. Your ratings are kept here; the list updates when it is back.");
  }

  /** The store did not take a rating, or the token was wrong. */
  storeFailed(failure) {
    if (failure.status === 401) {
      this.dispatchEvent(new Event("token-needed"));
      this.begin("token", "Your ratings are kept in this browser: the service needs a token to store them.");
    } else {
      this.begin("store", "Ratings cannot be stored right now. They still count for your list, and are stored later.");
    }
  }

  /** A list came; `current` tells whether it counts all stored ratings. */
  works(list) {
    if (this.trouble === "service") this.end();
    if (list.current === false) this.storeFailed({ status: 503 });
    else if (list.current === true && this.trouble !== null) this.end();
  }

  begin(trouble, words) {
    const isNews = this.trouble !== trouble;
    this.trouble = trouble;
    if (!isNews) return;
    this.say(words);
    this.wait = FIRST_WAIT;
    if (trouble !== "token") this.later();
  }

  end() {
    this.trouble = null;
    clearTimeout(this.timer);
    this.say("");
  }

  say(words) {
    const notice = byId("notice");
    notice.replaceChildren(...(words ? [make("p", {}, words)] : []));
    notice.hidden = !words;
    document.documentElement.classList.toggle("is-offline", this.trouble === "service");
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), this.wait);
    this.wait = Math.min(LONGEST_WAIT, this.wait * 1.5);
  }

  async look() {
    try {
      const { store } = await ask("readyz");
      if (this.trouble === "service" || store === "current") {
        this.end();
        this.dispatchEvent(new Event("back"));
        return;
      }
    } catch {
      // not yet
    }
    this.later();
  }
}
