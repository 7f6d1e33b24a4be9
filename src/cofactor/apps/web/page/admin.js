// The console: signs an operator in, and shows the part that the address names.

import { askAdmin, leave, operator, remember } from "./admin_session.js";
import { ask } from "./api.js";
import { byId, make } from "./elements.js";
import { say } from "./admin_parts.js";
import { showItems } from "./admin_items.js";
import { showModels } from "./admin_models.js";
import { showOverview } from "./admin_overview.js";
import { showPeople } from "./admin_people.js";

const PARTS = { overview: showOverview, models: showModels, people: showPeople, items: showItems };
let turn = 0;

async function start() {
  byId("leave").addEventListener("click", () => {
    leave();
    location.reload();
  });
  addEventListener("hashchange", () => operator() && show());
  byId("sign-in").addEventListener("submit", signIn);
  if (operator()) return show();
  const { needs_token: needed } = await ask("v1/model").catch(() => ({ needs_token: true }));
  byId("token-part").hidden = !needed;
  askForName("");
}

function askForName(problem) {
  byId("content").replaceChildren();
  for (const id of ["tabs", "leave"]) byId(id).hidden = true;
  byId("sign-in").hidden = false;
  byId("sign-in-problem").textContent = problem;
  byId(byId("operator").value ? "token" : "operator").focus();
}

async function signIn(event) {
  event.preventDefault();
  remember(byId("operator").value.trim(), byId("token").value.trim());
  if (!operator()) return;
  try {
    await askAdmin("rules");
  } catch (failure) {
    leave();
    byId("token-part").hidden = false;
    askForName(failure.status === 401 ? "This is not one of the tokens." : failure.inWords);
    return;
  }
  byId("token").value = "";
  byId("sign-in").hidden = true;
  show();
}

/** Show the part that the address names; what was asked for an earlier one is dropped. */
async function show() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const part = PARTS[name] ? name : "overview";
  const mine = (turn += 1);
  for (const id of ["tabs", "leave"]) byId(id).hidden = false;
  for (const link of byId("tabs").children) {
    if (link.hash === `#${part}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("content").setAttribute("aria-busy", "true");
  const argument = rest.length ? decodeURIComponent(rest.join("/")) : "";
  let parts;
  try {
    parts = await PARTS[part](argument, show);
  } catch (failure) {
    if (failure.status === 401) {
      leave();
      byId("token-part").hidden = false;
      return askForName("The token does not count any more.");
    }
    if (failure.inWords === undefined) throw failure;
    parts = [make("h1", {}, "Nothing to show"), make("p", { class: "problem", role: "alert" }, failure.inWords)];
  }
  if (mine !== turn) return;
  byId("content").replaceChildren(...parts);
  byId("content").removeAttribute("aria-busy");
  const heading = byId("content").querySelector("h1").textContent;
  document.title = `${heading} · cofactor console`;
  say(heading);
}

start();
