// The scale of ratings: which ones the stars offer, and how wide each is.

const MOST_STARS = 10;
const FEW = 5;

/** Return the choices on a scale, the lowest first: value, and width in stars.
 *
 * A model of choices, such as plays or purchases, has two: thumb down and up. A scale that is not of stars, whole or
 * half, is offered in five steps.
 */
export function choicesOf({ low, high, step, liked_from }) {
  if (liked_from != null) return [{ value: low, width: 1, thumb: "down" }, { value: high, width: 1, thumb: "up" }];
  const inStars = low > 0 && low <= 1 && high <= MOST_STARS && Number.isInteger(high) && (step === 0.5 || step === 1);
  if (!inStars) return inSteps(low, high, step);
  const choices = [];
  let reached = 0;
  for (let value = low; value <= high; value += step) {
    choices.push({ value, width: value - reached });
    reached = value;
  }
  return choices;
}

function inSteps(low, high, step) {
  return Array.from({ length: FEW }, (_, at) => {
    const exact = low + ((high - low) * (at + 1)) / FEW;
    return { value: Math.min(high, Math.round(exact / step) * step), width: 1 };
  });
}

/** Tell whether a rating says that somebody liked the item. */
export function isLiked(value, { low, high, liked_from }) {
  return value >= (liked_from ?? (low + high) / 2);
}
