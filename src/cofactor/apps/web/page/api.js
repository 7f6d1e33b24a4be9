// Talks to the service: JSON in, JSON out, and every failure as one kind of error.

const PATIENCE_MILLISECONDS = 15_000;

/** A request that failed. Status 0 means that there was no response at all. */
export class Failure extends Error {
  constructor(status, detail, { kind = "", retryAfter = 0, requestId = "" } = {}) {
    super(detail);
    Object.assign(this, { status, kind, retryAfter, requestId });
  }

  /** What went wrong, as a sentence. */
  get inWords() {
    if (this.status < 500) return `${this.message[0].toUpperCase()}${this.message.slice(1)}`;
    if (this.isStoreAway) return "Ratings cannot be stored right now. Nothing of yours is lost: try again in a moment.";
    const where = this.requestId ? ` Whoever runs it finds the cause under ${this.requestId}.` : "";
    return `The service failed to answer. Nothing of yours is lost: try again in a moment.${where}`;
  }

  /** Whether the service itself could not be reached. */
  get isSilence() {
    return this.status === 0;
  }

  /** Whether only the ratings store does not answer. */
  get isStoreAway() {
    return this.status === 503;
  }
}

/**
 * Return the service's response. The path is relative to the page, which a proxy may serve under a path of its own.
 * An aborted request throws the browser's AbortError.
 */
export async function ask(path, { method = "GET", body, token, signal } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const deadline = AbortSignal.timeout(PATIENCE_MILLISECONDS);
  let response, document;
  try {
    response = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    });
    document = await response.json().catch(() => null);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, "The service does not answer.");
  }
  if (response.ok && document !== null) return document;
  throw failureOf(response, document);
}

function failureOf(response, document) {
  const kind = (document?.type ?? "").split(":").pop();
  const detail = document?.detail ?? `The service answered with status ${response.status}.`;
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  return new Failure(response.status, detail, { kind, retryAfter, requestId: response.headers.get("X-Request-ID") });
}

/** Return the path of a user's part of the API. */
export function userPath(user, ...parts) {
  return ["v1/users", user, ...parts].map((part, at) => (at ? encodeURIComponent(part) : part)).join("/");
}

/** Return a query string; lists become repeated names, and unset values are left out. */
export function queryOf(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) if (one != null && one !== "") query.append(name, one);
  }
  return query.toString();
}
