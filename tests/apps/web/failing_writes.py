"""Run by a test with ``failing.c`` preloaded: the n-th write, sync or removal fails, for every n in turn."""

import ctypes
import json
import sys

from cofactor.apps.web.store import RatingsStore, StoreAway

OLD = {f"i{k}": 1.0 for k in range(40)}
NEW = {f"i{k}": 2.0 for k in range(40)}


def main(folder):
    """Print for each n whether the write was acknowledged, and what a new process would find."""
    failing = ctypes.CDLL(None)
    found = []
    for n in range(1, 200):
        url = f"sqlite:///{folder}/{n}/ratings.db"
        store = RatingsStore(url)
        store.write("ann", OLD)
        failing.failing_arm(n)
        try:
            store.write("ann", NEW)
            acknowledged = True
        except StoreAway:
            acknowledged = False
        happened = failing.failing_count()
        failing.failing_arm(0)
        store.close()
        again = RatingsStore(url)
        kept = {item: value for _, item, value in again.since(-1).rows}
        state = "old" if kept == OLD else "new" if kept == NEW else f"mixed: {kept}"
        again.write("bob", {"i1": 5.0})
        again.close()
        found.append({"n": n, "acknowledged": acknowledged, "state": state, "failed": happened})
        if not happened:
            break
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
