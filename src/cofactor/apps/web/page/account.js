// The name under which ratings are stored, and the token if storing needs one.

import { byId } from "./elements.js";

const UNFIT = /^\.+$/; // the name is part of addresses

/** The dialog that asks for a name. */
export class Account {
  constructor({ ratings, uploads, onChange }) {
    Object.assign(this, { ratings, uploads, onChange, needsToken: false });
    this.dialog = byId("account");
    byId("account-button").addEventListener("click", () => this.open());
    byId("account-close").addEventListener("click", () => this.dialog.close());
    byId("account-leave").addEventListener("click", () => this.leave());
    byId("account-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.show();
  }

  open(problem = "") {
    byId("account-problem").textContent = problem;
    if (!this.dialog.open) {
      byId("account-name").value = this.ratings.owner ?? "";
      byId("account-token").value = this.uploads.token;
    }
    byId("account-token-part").hidden = !this.needsToken;
    byId("account-leave").hidden = this.ratings.owner === null;
    if (!this.dialog.open) this.dialog.showModal();
  }

  async submit() {
    const name = byId("account-name").value.trim();
    if (!name) return this.open("Enter a name.");
    if (UNFIT.test(name)) return this.open("A name cannot consist of dots only.");
    const { ratings, uploads } = this;
    const isNew = ratings.owner !== name;
    if (isNew && ratings.owner !== null) ratings.leave();
    uploads.token = byId("account-token").value.trim();
    if (isNew) ratings.own(name);
    try {
      await uploads.send({ n: 1 });
      await uploads.fetch();
    } catch (failure) {
      if (isNew) ratings.disown();
      this.show();
      return this.open(failure.status === 401 ? "The service does not accept this token." : failure.inWords);
    }
    this.dialog.close();
    this.show();
    return this.onChange();
  }

  leave() {
    this.ratings.leave();
    this.uploads.token = "";
    this.dialog.close();
    this.show();
    this.onChange();
  }

  show() {
    const { owner } = this.ratings;
    byId("account-label").textContent = owner === null ? "Keep my ratings" : owner;
    byId("account-title").textContent = owner === null ? "Keep my ratings" : "Your ratings are kept";
  }
}
