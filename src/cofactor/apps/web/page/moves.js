// Who rose and who fell: beyond what follows from a rated title leaving the list, or coming back into it.

/** Return a list's items with their moves made good for the titles that left it or came back by the last change.
 *
 * `changed` are those titles' ids, `placesBefore` the places of the list as it was, by id.
 */
export function trueMoves(items, changed, placesBefore) {
  const placesNow = new Map(items.map(({ item, position }) => [item, position]));
  const left = changed.filter((item) => !placesNow.has(item)).map((item) => placesBefore.get(item) ?? Infinity);
  const back = changed.filter((item) => !placesBefore.has(item)).map((item) => placesNow.get(item) ?? Infinity);
  return items.map((item) => {
    if (item.moved == null) return item;
    const lent = left.filter((place) => place < item.was).length - back.filter((place) => place < item.position).length;
    return { ...item, moved: item.moved - lent };
  });
}
