"""Many stored ratings in little memory give what a dictionary would, whatever is added, merged and read in between."""

import random
import threading
import tracemalloc

import numpy as np
import pytest

from cofactor.apps.web import ratings_table
from cofactor.apps.web.ratings_table import RatingsTable


def drawn(random, n, users=30, items=20):
    return [
        (f"u{random.randrange(users)}", f"i{random.randrange(items)}", random.choice([None, 1.0, 2.5, 5.0]))
        for _ in range(n)
    ]


@pytest.mark.parametrize("seed", range(8))
def test_it_holds_what_a_dictionary_holds(seed, monkeypatch):
    monkeypatch.setattr(ratings_table, "_PENDING", 50)
    chance, table, expected = random.Random(seed), RatingsTable(), {}
    for _ in range(60):
        step = chance.randrange(4)
        rows = drawn(chance, chance.choice([0, 1, 5, 200]))
        if step == 0:
            table.put(rows)
        elif step == 1:
            table.add(rows)
            table.merge()
        else:
            table.freeze()
            if step == 2:
                table.merge()
            rows = rows[:3]
            table.put(rows)
        for user, item, value in rows:
            expected.setdefault(user, {})[item] = value
        assert {user: dict(table.of(user)) for user in expected} == expected
    users, items, values = table.columns()
    found = {}
    for user, item, value in zip(users.tolist(), items.tolist(), values.tolist(), strict=True):
        found.setdefault(table.users[user], {})[table.items[item]] = None if np.isnan(value) else value
    assert found == expected
    assert len(table) == sum(map(len, expected.values()))
    assert dict(table.of("nobody")) == {}


def test_it_can_be_read_while_it_merges():
    table, wrong, done = RatingsTable(), [], threading.Event()
    table.put([(f"u{k}", "i0", 1.0) for k in range(100)])

    def read():
        while not done.is_set():
            wrong.extend(k for k in range(100) if table.of(f"u{k}").get("i0") != 1.0)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        table.put([(f"u{k}", f"i{turn + 1}", 2.0) for k in range(100)])
        table.freeze()
        table.merge()
    done.set()
    reader.join()
    assert wrong == []
    assert len(table) == 6100


def test_a_rating_takes_less_than_a_hundred_bytes():
    chance = np.random.default_rng(0)
    pages = [[(f"u{u}", f"i{i}", 4.0) for u, i in chance.integers(0, (20_000, 500), (20_000, 2))] for _ in range(20)]
    tracemalloc.start()
    table = RatingsTable()
    for page in pages:
        table.add(page)
    table.merge()
    del pages
    held = tracemalloc.get_traced_memory()[0] / len(table)  # NumPy tells it what its arrays take
    tracemalloc.stop()
    assert 12 < held < 100
