"""The density of a table as a picture: who rated much of what, the most active users and the best known items first."""

import numpy as np
from scipy import sparse

from cofactor.data.passes import counts_of
from cofactor.evaluation.page.markup import Markup, percent, table, tag

__all__ = ["density_grid", "density_picture", "density_table"]

COLUMNS, ROWS = 40, 22
LEVELS = 7
WIDTH, HEIGHT = 400, 250
LEFT, TOP, BOTTOM = 12, 8, 30


def density_grid(matrix: sparse.csr_array, rows: int, columns: int) -> np.ndarray:
    """Return which share of each part of the table is filled.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (users, items)
    rows, columns : int
        Into how many parts the users and the items are divided, by falling number of entries.

    Returns
    -------
    numpy.ndarray, shape (rows, columns), or less where there are fewer users or items
        The most active users above, the best known items to the left.
    """
    per_user = np.diff(matrix.indptr)
    per_item = counts_of(matrix.indices, matrix.shape[1])
    user_parts, item_parts = _parts(per_user, rows), _parts(per_item, columns)
    rows, columns = int(user_parts.max()) + 1, int(item_parts.max()) + 1
    cells = np.repeat(user_parts, per_user) * columns + item_parts[matrix.indices]
    filled = np.bincount(cells, minlength=rows * columns).reshape(rows, columns)
    sizes = np.outer(np.bincount(user_parts, minlength=rows), np.bincount(item_parts, minlength=columns))
    shares: np.ndarray = filled / np.maximum(sizes, 1)
    return shares


def _parts(counts: np.ndarray, parts: int) -> np.ndarray:
    """Return the part of each row, the rows by falling counts."""
    places = np.empty(len(counts), np.int64)
    places[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return places * min(parts, len(counts)) // max(len(counts), 1)


def density_picture(matrix: sparse.csr_array, words: str) -> Markup:
    """Draw the shares as cells, darker where more is filled."""
    grid = density_grid(matrix, ROWS, COLUMNS)
    high, wide = (HEIGHT - TOP - BOTTOM) / grid.shape[0], (WIDTH - 2 * LEFT) / grid.shape[1]
    level = np.ceil(LEVELS * np.sqrt(grid / max(grid.max(), 1e-12))).astype(int)
    cells = []
    for step in range(1, LEVELS + 1):
        corners = [
            f"M{LEFT + x * wide:.1f} {TOP + y * high:.1f}" for y, x in zip(*np.nonzero(level == step), strict=True)
        ]
        if corners:
            cell = f"h{wide:.1f}v{high:.1f}h-{wide:.1f}z"
            cells.append(tag("path", d="".join(corner + cell for corner in corners), class_=f"cell c{step}"))
    frame = tag("rect", x=LEFT, y=TOP, width=WIDTH - 2 * LEFT, height=HEIGHT - TOP - BOTTOM, class_="frame")
    below = HEIGHT - 10
    names = [
        tag("text", "best known items", x=LEFT, y=below),
        tag("text", "least known", x=WIDTH - LEFT, y=below, class_="end"),
    ]
    return tag(
        "svg", frame, *cells, *names, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=words, class_="chart"
    )


def density_table(matrix: sparse.csr_array) -> Markup:
    """Return the shares of the table's parts by fifths of the users and of the items."""
    grid = density_grid(matrix, 5, 5)
    heads = ["users", *(f"items {place}" for place in range(1, grid.shape[1] + 1))]
    rows = [[f"part {place}", *(percent(share) for share in row)] for place, row in enumerate(grid, 1)]
    return table("Share that is filled, most active users and best known items first", heads, rows)
