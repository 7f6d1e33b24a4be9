// What the browser remembers of a visitor; where it may not, it forgets at the end and all else works.

const PREFIX = `cofactor${location.pathname.replace(/[/][^/]*$/, "")}.`; // another service may be under another path

/** Return what was kept under a name, or a fallback. */
export function recall(name, fallback, storage = "localStorage") {
  try {
    const text = window[storage].getItem(PREFIX + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/** Keep something under a name; null forgets it. */
export function keep(name, value, storage = "localStorage") {
  try {
    if (value === null) window[storage].removeItem(PREFIX + name);
    else window[storage].setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // storage is blocked or full: the ratings last as long as the page does
  }
}

/** Call back when another tab has changed what is kept. */
export function onForeignChange(callback) {
  addEventListener("storage", (event) => {
    if (event.key === null || event.key.startsWith(PREFIX)) callback(event.key?.slice(PREFIX.length));
  });
}
