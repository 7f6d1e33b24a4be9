"""Whatever is killed at whatever moment, no acknowledged rating is lost, and the service goes on."""

import contextlib
import itertools
import logging
import os
import random
import signal
import time

import pytest
from sqlalchemy.engine import make_url
from websupport import Load, until, workers

from cofactor.apps.web.store import RatingsStore

MATRIX = {
    "sqlite": (["machine", "worker", "stopped worker", "parent"], 150),
    "pgbouncer": (["database", "worker", "pooler", "machine", "stopped database", "parent"], 250),
    "mariadb": (["database", "machine", "stopped database", "worker"], 100),
}
"""For each store, what is killed, in turn, and at how many moments in the long form: 500 in all."""

SHORT = {"sqlite": 1, "pgbouncer": 3, "mariadb": 1}


class Ledger:
    """Writers who never write the same rating twice, and what was acknowledged to them."""

    def __init__(self, service):
        self.service, self.acknowledged, self._numbers = service, {}, itertools.count()

    def write(self, *_):
        number = next(self._numbers)
        user, item, value = f"user{number // 40}", f"i{number % 40}", float(1 + number % 5)
        try:
            done = self.service.put(user, item, value)[0] == 200
        except (OSError, ValueError) as error:  # cut off, or nobody listens
            del error
            done = False
        if done:
            self.acknowledged[user, item] = value
        else:
            time.sleep(0.02)

    def lost(self, stored):
        return {
            pair: (value, stored.get(pair)) for pair, value in self.acknowledged.items() if stored.get(pair) != value
        }


class Scene:
    """A service on a store, and what its parts are killed by."""

    def __init__(self, service, database, pooler):
        self.service, self.database, self.pooler = service, database, pooler

    def kill(self, victim):
        getattr(self, f"kill_{victim.replace(' ', '_')}")()

    def kill_worker(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(workers(self.service)), signal.SIGKILL)

    def kill_stopped_worker(self):
        found = random.choice(workers(self.service))
        with contextlib.suppress(ProcessLookupError):
            os.kill(found, signal.SIGSTOP)
            time.sleep(random.uniform(0, 0.5))
            os.kill(found, signal.SIGKILL)

    def kill_parent(self):
        self.service.process.kill()
        self.service.process.wait()
        until(lambda: not answers(self.service))  # the workers end by themselves
        self.service.start()

    def kill_machine(self):
        """Stop all of the service at once, and kill it before it goes on."""
        os.killpg(self.service.process.pid, signal.SIGSTOP)
        time.sleep(random.uniform(0, 0.3))
        self.service.kill()
        self.service.start()

    def kill_database(self):
        self.database.kill()
        status, found = self.service.ask("GET", "/v1/users/u3/recommendations")
        assert (status, len(found.get("items", []))) == (200, 10), found
        self.database.start()

    def kill_stopped_database(self):
        self.database.pause()
        time.sleep(random.uniform(0, 1))
        self.kill_database()

    def kill_pooler(self):
        self.pooler.kill()
        time.sleep(random.uniform(0, 0.3))
        self.pooler.start()


def answers(service):
    with contextlib.suppress(OSError):
        return service.ask("GET", "/healthz")[0] == 200
    return False


def takes_writes(service):
    with contextlib.suppress(OSError, ValueError):
        return service.put("somebody", "i1", 3)[0] == 200
    return False


@pytest.mark.parametrize("kind", MATRIX)
def test_no_acknowledged_rating_is_lost_whatever_is_killed(request, serve, tmp_path, kind, long_form):
    victims, moments = MATRIX[kind]
    moments = int(os.environ.get("COFACTOR_TEST_KILLS", moments)) if long_form else SHORT[kind]
    database = pooler = None
    url = f"sqlite:///{tmp_path}/ratings.db"
    if kind == "mariadb":
        database = request.getfixturevalue("mariadb")
        url = database.new_database()
    elif kind == "pgbouncer":
        database, pooler = request.getfixturevalue("postgres"), request.getfixturevalue("pgbouncer")
        url = make_url(database.new_database()).set(port=pooler.port).render_as_string(hide_password=False)
    scene = Scene(serve(None, "--workers", "2", ratings=url), database, pooler)
    ledger = Ledger(scene.service)
    load = Load(ledger.write)
    for victim in itertools.islice(itertools.cycle(victims), moments):
        before = len(ledger.acknowledged)
        until(lambda before=before: len(ledger.acknowledged) > before + 10)
        time.sleep(random.uniform(0, 0.5))
        scene.kill(victim)
        until(lambda: takes_writes(scene.service))
        assert scene.service.process.poll() is None, victim
    assert load.stop() == []
    until(lambda: takes_writes(scene.service))
    store = RatingsStore(url)
    assert ledger.lost({(user, item): value for user, item, value in store.since(-1).rows}) == {}
    told = {user: scene.service.ratings(user) for user in {user for user, _ in ledger.acknowledged}}
    assert ledger.lost({(user, item): value for user, found in told.items() for item, value in found.items()}) == {}
    store.close()
    logging.info("%s: %s moments, %s acknowledged ratings, none lost", kind, moments, len(ledger.acknowledged))
    assert scene.service.stop() == 0
