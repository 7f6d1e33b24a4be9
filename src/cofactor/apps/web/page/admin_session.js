// Who is signed in. The token is kept for this tab alone, and sent as a bearer token.

import { ask, queryOf } from "./api.js";

const KEY = "cofactor-console";

/** Return the operator's name, or nothing. */
export function operator() {
  return kept()?.name;
}

/** Remember who works here until the tab is closed. */
export function remember(name, token) {
  if (name) sessionStorage.setItem(KEY, JSON.stringify({ name, token }));
}

/** Forget who works here. */
export function leave() {
  sessionStorage.removeItem(KEY);
}

/** Ask a route of the console's, with the token. */
export function askAdmin(path, options = {}) {
  return asking(`v1/admin/${path}`, options);
}

/** Ask any route, with the token. */
export function asking(path, options = {}) {
  return ask(path, { ...options, token: kept()?.token || undefined });
}

/** Change something in the operator's name. */
export function change(path, method, body, query = {}) {
  return askAdmin(`${path}?${queryOf({ by: operator(), ...query })}`, { method, body });
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}
