// Runs before the page is drawn: says who was here before, so that nothing moves once the page knows it too.

const prefix = `cofactor${location.pathname.replace(/[/][^/]*$/, "")}.`;
const ENOUGH = 5;

try {
  const kept = (name) => JSON.parse(localStorage.getItem(prefix + name));
  const isKnown = kept("name") !== null || (kept("ratings") ?? []).length >= ENOUGH || kept("deck") === "done";
  if (isKnown) document.documentElement.classList.add("is-known");
} catch {
  // nothing can be kept here: everybody is new
}
