// What a mark is called, beside the pointer. Without scripts the browser shows the same titles by itself, later.
const tip = document.querySelector(".tip");
const REACH = 16;

/** Return the mark with a title under the pointer, or else the nearest circle within reach. */
function markAt(svg, { clientX, clientY, target }) {
  if (target.dataset.title) return target;
  let best = null;
  let least = REACH;
  for (const mark of svg.querySelectorAll("circle[data-title]")) {
    const { left, right, top, bottom } = mark.getBoundingClientRect();
    const distance = Math.hypot((left + right) / 2 - clientX, (top + bottom) / 2 - clientY);
    if (distance < least) [best, least] = [mark, distance];
  }
  return best;
}

function show(mark, { clientX, clientY }) {
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.title;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.max(8, Math.min(clientX + 14, innerWidth - width - 8));
  const top = clientY + height + 24 > innerHeight ? clientY - height - 12 : clientY + 16;
  tip.style.left = `${left}px`;
  tip.style.top = `${top}px`;
}

for (const svg of document.querySelectorAll("svg[role=img]")) {
  for (const title of svg.querySelectorAll("title")) {
    title.parentNode.dataset.title = title.textContent;
    title.remove();
  }
  let near = null;
  svg.addEventListener("pointermove", (event) => {
    const mark = markAt(svg, event);
    if (mark !== near) {
      near?.classList.remove("near");
      mark?.classList.add("near");
      near = mark;
    }
    show(mark, event);
  });
  svg.addEventListener("pointerleave", () => {
    near?.classList.remove("near");
    near = null;
    tip.hidden = true;
  });
}
