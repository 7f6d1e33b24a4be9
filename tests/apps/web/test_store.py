"""Ratings kept in SQLite and in PostgreSQL: written by many at once, migrated, found again, never mixed up."""

import multiprocessing
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sql
from sqlalchemy.engine import make_url
from websupport import open_at_once, write_for

from cofactor.apps.web import schema, sqlite
from cofactor.apps.web.events_store import Event, EventsStore, ServedList, logged_lists
from cofactor.apps.web.list_ids import new_id
from cofactor.apps.web.store import RatingsStore, StoreAway, beside
from cofactor.errors import SettingError

SHOW = "show synchronous_commit"


def kept(store):
    rows = {}
    for user, item, value in store.since(-1).rows:
        rows[user, item] = value
    return rows


def test_what_is_written_is_there(store):
    store.write("ann", {"tea": 5.0, "rye": 2.5})
    store.write("ann", {"tea": 4.0})
    store.write("żółw 'x'; drop table cofactor_ratings; --", {"rye": 1.0})
    assert kept(store) == {
        ("ann", "tea"): 4.0, ("ann", "rye"): 2.5, ("żółw 'x'; drop table cofactor_ratings; --", "rye"): 1.0,
    }  # fmt: skip


def test_a_rating_taken_back_stays_taken_back(store):
    store.write("ann", {"tea": 5.0})
    store.write("ann", {"tea": None})
    assert kept(store) == {("ann", "tea"): None}


def test_replacing_takes_the_others_back_and_leaves_other_users_alone(store):
    store.write("ann", {"tea": 5.0, "rye": 2.0})
    store.write("bob", {"tea": 1.0})
    store.replace("ann", {"oat": 3.0}, also=["figs"])
    assert kept(store) == {
        ("ann", "tea"): None, ("ann", "rye"): None, ("ann", "figs"): None, ("ann", "oat"): 3.0, ("bob", "tea"): 1.0,
    }  # fmt: skip


def test_who_knows_a_revision_is_told_what_came_after_it(store):
    store.write("ann", {"tea": 5.0})
    first = store.since(-1)
    assert store.since(first.revision).rows == []
    store.write("bob", {"rye": 1.0})
    then = store.since(first.revision)
    assert (then.born, then.rows) == (first.born, [("bob", "rye", 1.0)])
    assert then.revision == first.revision + 1


def test_a_new_connection_finds_what_an_old_one_left(store, store_url):
    store.write("ann", {"tea": 5.0})
    store.close()
    again = RatingsStore(store_url)
    assert kept(again) == {("ann", "tea"): 5.0}
    again.close()


def test_the_newest_migration_is_the_one_that_is_checked_for():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", schema.__file__.replace("schema.py", "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_the_migrated_tables_are_those_of_the_code(store):
    store.since(-1)
    found = sql.inspect(store._opened())
    tables = (schema.RATINGS, schema.STATE, schema.ERASURES, schema.ITEMS, schema.RULES, schema.LISTS, schema.EVENTS)
    for table in tables:
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        assert list(columns) == [column.name for column in table.columns]
        for column in table.columns:
            assert columns[column.name]["nullable"] == column.nullable, column
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]


def test_a_database_of_a_newer_version_is_left_alone(store, store_url):
    store.since(-1)
    with store._opened().begin() as connection:
        connection.execute(sql.text("update cofactor_version set version_num = '9999'"))
    store.close()
    for ask in (lambda: RatingsStore(store_url).since(-1), RatingsStore(store_url).version):
        with pytest.raises(SettingError, match="schema version 9999, and this cofactor reads up to 0005: pip install"):
            ask()


def test_the_version_is_checked_without_making_a_store(store, store_url, tmp_path):
    RatingsStore(store_url).version()
    assert not list(tmp_path.iterdir())
    store.write("ann", {"tea": 5.0})
    RatingsStore(store_url).version()
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"SQLite format 3\0" + b"rubbish" * 1000)
    with pytest.raises(StoreAway, match=r"broken\.db: "):
        RatingsStore(f"sqlite:///{broken}").version()


def test_services_that_start_at_once_make_the_tables_once(store_url):
    spawn = multiprocessing.get_context("spawn")
    ready, go, results = spawn.Semaphore(0), spawn.Event(), spawn.Queue()
    starters = [spawn.Process(target=open_at_once, args=(store_url, ready, go, results)) for _ in range(4)]
    for one in starters:
        one.start()
    for _ in starters:
        assert ready.acquire(timeout=60)
    go.set()
    assert [results.get(timeout=60) for _ in starters] == ["ok"] * 4
    for one in starters:
        one.join()
    assert RatingsStore(store_url).since(-1).revision == 4


def test_eight_writers_never_meet_a_lock(store_url, long_form):
    RatingsStore(store_url).since(-1)
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    seconds = 60 if long_form else 3
    writers = [spawn.Process(target=write_for, args=(store_url, f"w{k}", seconds, results)) for k in range(8)]
    for one in writers:
        one.start()
    written = [results.get(timeout=seconds + 60) for _ in writers]
    for one in writers:
        one.join()
    assert all(isinstance(one, list) and one for one in written), written
    assert set(kept(RatingsStore(store_url))) == {pair for one in written for pair in one}


def test_threads_of_one_process_share_a_store(store):
    store.since(-1)
    threads = [threading.Thread(target=store.write, args=(f"u{k}", {"tea": 1.0})) for k in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(kept(store)) == 16


@pytest.mark.parametrize(
    ("version", "sound"),
    [
        ((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 45, 0), False), ((3, 50, 6), False),
        ((3, 50, 7), True), ((3, 51, 0), False), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 52, 0), True),
        ((4, 0, 0), True),
    ],
)  # fmt: skip
def test_the_write_ahead_log_is_kept_only_where_it_is_sound(version, sound):
    assert sqlite.has_wal_fix(version) is sound
    assert sqlite.journal_mode(version) == ("WAL" if sound else "DELETE")


def test_sqlite_is_set_to_lose_nothing(sqlite_url):
    store = RatingsStore(sqlite_url)
    with store._opened().connect() as connection:
        ask = lambda name: connection.exec_driver_sql(f"pragma {name}").scalar()  # noqa: E731
        assert ask("synchronous") == 2
        assert ask("journal_mode").upper() == sqlite.journal_mode(sqlite3.sqlite_version_info)
        assert ask("busy_timeout") == 1000 * sqlite.BUSY_SECONDS


def test_another_connection_s_write_shows_at_a_glance(sqlite_url):
    one, other = RatingsStore(sqlite_url), RatingsStore(sqlite_url)
    one.since(-1)
    before = one.peek()
    assert one.peek() == before
    other.write("ann", {"tea": 1.0})
    assert one.peek() != before


def test_a_store_whose_file_was_taken_away_begins_anew(sqlite_url, tmp_path):
    store = RatingsStore(sqlite_url)
    store.write("ann", {"tea": 1.0})
    first = store.since(-1).born
    (tmp_path / "ratings.db").unlink()
    assert store.peek() is None
    store.write("bob", {"rye": 1.0})
    assert kept(store) == {("bob", "rye"): 1.0}
    assert store.since(-1).born != first
    assert kept(RatingsStore(sqlite_url)) == {("bob", "rye"): 1.0}


def test_a_locked_file_is_away_not_an_error_of_ours(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    store = RatingsStore(sqlite_url)
    store.write("ann", {"tea": 1.0})
    with sqlite3.connect(tmp_path / "ratings.db") as other:
        other.execute("begin exclusive")
        assert store.peek() is None
        with pytest.raises(StoreAway, match="locked"):
            store.write("ann", {"tea": 2.0})
    other.close()
    store.write("ann", {"tea": 3.0})
    assert kept(store) == {("ann", "tea"): 3.0}


def test_no_error_shows_the_password():
    store = RatingsStore("postgresql+psycopg://me:hunter2@127.0.0.1:1/shop?connect_timeout=1")
    with pytest.raises(StoreAway) as caught:
        store.since(-1)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "oracle://a/b", "sqlite://", "sqlite:///:memory:", "http://x"])
def test_a_url_that_is_no_store_is_refused(url):
    with pytest.raises(SettingError, match="--ratings"):
        RatingsStore(url)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path):
    file = tmp_path / "ratings.csv"
    file.write_text("user,item,value\n")
    with pytest.raises(SettingError, match=r"ratings\.csv, which is not a SQLite database"):
        RatingsStore(f"sqlite:///{file}")
    file.write_text("")  # as SQLite itself begins a file
    RatingsStore(f"sqlite:///{file}").probe()


def test_a_database_that_broke_is_away_and_named(tmp_path):
    file = tmp_path / "ratings.db"
    file.write_bytes(b"SQLite format 3\0" + b"rubbish" * 1000)
    with pytest.raises(StoreAway, match=r"ratings\.db: "):
        RatingsStore(f"sqlite:///{file}").probe()


@pytest.mark.parametrize(
    ("model", "store"),
    [
        ("films.safetensors", "films.ratings.db"),
        ("shop.films", "shop.films.ratings.db"),
        ("shop.books", "shop.books.ratings.db"),
        ("v1.2.safetensors", "v1.2.ratings.db"),
        ("a?b=c#d %2F@é:.safetensors", "a?b=c#d %2F@é:.ratings.db"),
    ],
)
def test_the_store_of_a_model_lies_beside_it(tmp_path, model, store):
    opened = RatingsStore(beside(tmp_path / model))
    opened.write("ann", {"tea": 5.0})
    opened.close()
    assert [file.name for file in tmp_path.iterdir()] == [store]


def test_the_store_lies_beside_a_link_to_the_model_and_not_what_it_points_to(tmp_path):
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "m.safetensors").touch()
    link = tmp_path / "m.safetensors"
    link.symlink_to("v1/m.safetensors")
    before = beside(link)
    link.unlink()
    link.symlink_to("v2/m.safetensors")
    assert beside(link) == before
    assert Path(before.database).parent == tmp_path


@pytest.mark.parametrize(
    "url", ["postgresql://u:hidden@h:1/d?password=hidden", "postgresql+psycopg://u:hidden@h:1/d?sslpassword=hidden"]
)
def test_where_the_ratings_are_is_said_without_the_password(url):
    assert str(RatingsStore(url)) == "postgresql+psycopg://u:***@h:1/d"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "WIN1252", "EUC_JP"])
def test_a_database_that_cannot_hold_every_name_is_refused(postgres, encoding):
    url = postgres.new_database("-E", encoding, "-T", "template0", "--locale=C")
    for ask in (RatingsStore(url).version, lambda: RatingsStore(url).write("東京", {"tea": 5.0})):
        with pytest.raises(SettingError, match=f"has the encoding {encoding}.*--encoding=UTF8"):
            ask()


def test_nothing_is_left_on_a_connection_that_a_pooler_hands_on(postgres, pooler):
    url = make_url(postgres.new_database()).set(port=pooler)
    store = RatingsStore(url)
    for k in range(20):
        store.write("ann", {f"i{k}": 5.0})
        store.since(-1)
    others = sql.create_engine(url, connect_args={"prepare_threshold": None})
    for name, usual in (("statement_timeout", "0"), ("lock_timeout", "0"), ("client_encoding", "UTF8")):
        with others.connect() as connection:
            assert connection.exec_driver_sql(f"show {name}").scalar_one() == usual
    others.dispose()
    store.close()


@pytest.mark.parametrize("scope", ["database", "role"])
def test_a_write_is_on_disk_whatever_the_server_s_default_is(postgres, scope):
    url = make_url(postgres.new_database())
    store, owner = RatingsStore(url), sql.create_engine(url, isolation_level="AUTOCOMMIT")
    name = url.database if scope == "database" else url.username
    with owner.connect() as connection:
        connection.exec_driver_sql(f'alter {scope} "{name}" set synchronous_commit = off')
    try:
        seen = []
        sql.event.listen(store._opened(), "commit", lambda c: seen.append(c.exec_driver_sql(SHOW).scalar_one()))
        store.write("ann", {"tea": 5.0})
        assert seen == ["on"]
    finally:
        with owner.connect() as connection:
            connection.exec_driver_sql(f'alter {scope} "{name}" reset synchronous_commit')
        owner.dispose()
        store.close()


def test_a_server_that_was_demoted_is_left_for_its_successor(postgres):
    url = make_url(postgres.new_database())
    store, owner = RatingsStore(url), sql.create_engine(url, isolation_level="AUTOCOMMIT")
    store.write("ann", {"tea": 5.0})
    with owner.connect() as connection:
        connection.exec_driver_sql(f'alter database "{url.database}" set default_transaction_read_only = on')
    store.close()
    with pytest.raises(StoreAway, match="read-only"):
        store.write("ann", {"tea": 4.0})
    with owner.connect() as connection:
        connection.exec_driver_sql("set default_transaction_read_only = off")
        connection.exec_driver_sql(f'alter database "{url.database}" reset default_transaction_read_only')
    store.write("ann", {"tea": 3.0})  # on a new connection, though the old one was sound
    assert kept(store) == {("ann", "tea"): 3.0}
    owner.dispose()
    store.close()


def test_ids_that_differ_in_case_accents_or_spaces_are_others(store):
    ids = [
        "ann",
        "Ann",
        "ANN",
        "ånn",
        "ann ",
        " ann",
        "a\u030ann",
        "straße",
        "strasse",
        "😀",
        "😁",
        "x" * 200,
        "é" * 200,
    ]
    for k, user in enumerate(ids):
        store.write(user, {item: float(k) for item in ids})
    assert kept(store) == {(user, item): float(k) for k, user in enumerate(ids) for item in ids}
    assert store.erase("ann") == len(ids)
    assert {user for user, _ in kept(store)} == {*ids} - {"ann"}


@pytest.mark.parametrize("options", ["character set latin1", "character set utf8mb3 collate utf8mb3_general_ci"])
def test_a_mariadb_database_may_have_any_encoding(mariadb, options):
    store = RatingsStore(mariadb.new_database(options))
    store.write("東京 😀", {"tea": 5.0})
    assert kept(store) == {("東京 😀", "tea"): 5.0}
    store.close()


def test_a_mysql_url_names_the_same_store(mariadb):
    url = make_url(mariadb.new_database())
    for name in ("mysql", "mariadb", "mysql+pymysql"):
        store = RatingsStore(url.set(drivername=name))
        store.write(name, {"tea": 5.0})
        store.close()
    assert len(kept(RatingsStore(url))) == 3


def test_ratings_are_read_from_mariadb(mariadb):
    import cofactor as cf

    url = mariadb.new_database()
    store = RatingsStore(url)
    store.write("ann", {"tea": 5.0, "rye": 2.5})
    store.write("Ann", {"tea": 1.0, "rye": None})
    store.close()
    query = (
        "select user_id, item_id, cast(value as decimal(3, 1)), rated_at from cofactor_ratings where value is not null"
    )
    data = cf.read_sql(query, url)
    assert sorted(data.to_frame().select("user", "item", "value").rows()) == [
        ("Ann", "tea", 1.0), ("ann", "rye", 2.5), ("ann", "tea", 5.0),
    ]  # fmt: skip
    with pytest.raises(cf.DataError, match="doesn't exist") as caught:
        cf.read_sql("select * from nothing", url)
    assert "secret" not in str(caught.value)


def test_a_page_is_one_moment_of_a_busy_mariadb(mariadb, monkeypatch):
    """Also where the server's default would let it see what was committed meanwhile."""
    mariadb.run("set global transaction isolation level read uncommitted")
    try:
        monkeypatch.setattr("cofactor.apps.web.store.PAGE", 10)
        url = mariadb.new_database()
        store, other = RatingsStore(url), RatingsStore(url)
        store.write("ann", {f"i{k:02d}": 1.0 for k in range(40)})
        pages = store.pages(-1)
        rows = list(next(pages).rows)
        other.write("ann", {f"i{k:02d}": 2.0 for k in range(40)})
        for page in pages:
            rows += page.rows
        assert [value for _, _, value in rows] == [1.0] * 40
        assert page.revision == 1
        store.close()
        other.close()
    finally:
        mariadb.run("set global transaction isolation level repeatable read")


def test_a_mariadb_that_became_read_only_is_left_for_its_successor(mariadb):
    url = make_url(mariadb.new_database())
    name = f"u{url.database}"
    mariadb.run(f"create user {name}@'%' identified by 'secret'; grant all on {url.database}.* to {name}@'%'")
    store = RatingsStore(url.set(username=name))
    store.write("ann", {"tea": 5.0})
    mariadb.run("set global read_only = 1")
    try:
        with pytest.raises(StoreAway, match="read-only"):
            store.write("ann", {"tea": 4.0})
        assert store._engine is None
    finally:
        mariadb.run("set global read_only = 0")
    store.write("ann", {"tea": 3.0})
    assert kept(store) == {("ann", "tea"): 3.0}
    store.close()


DEFAULTS = {
    "isolation": ("default_transaction_isolation", "serializable"),
    "another isolation": ("default_transaction_isolation", "'repeatable read'"),
    "deferred constraints and read-only transactions": ("default_transaction_deferrable", "on"),
    "a schema that is not there": ("search_path", "nowhere, public"),
    "hasty statements": ("statement_timeout", "'2s'"),
    "idle transactions are ended": ("idle_in_transaction_session_timeout", "'2s'"),
}


@pytest.mark.parametrize("what", DEFAULTS)
def test_writers_do_not_depend_on_what_an_account_s_defaults_are(postgres, what):
    url = make_url(postgres.new_database())
    name, value = DEFAULTS[what]
    owner = sql.create_engine(url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.exec_driver_sql(f'alter database "{url.database}" set {name} = {value}')
    owner.dispose()
    write_at_once(url)


def test_writers_do_not_depend_on_what_a_mariadb_s_defaults_are(mariadb):
    changes = {"autocommit": "0", "sql_safe_updates": "1", "sql_mode": "'ANSI,TRADITIONAL'"}
    before = {name: mariadb.run(f"select @@global.{name}").splitlines()[-1] for name in changes}
    for name, value in changes.items():
        mariadb.run(f"set global {name} = {value}")
    try:
        write_at_once(mariadb.new_database())
    finally:
        for name, value in before.items():
            mariadb.run(f"set global {name} = '{value}'" if name == "sql_mode" else f"set global {name} = {value}")


def write_at_once(url):
    """Write from two stores at once, and replace, read and erase."""
    stores = [RatingsStore(url) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: stores[k % 2].write(f"u{k % 3}", {f"i{k}": float(k)}), range(40)))
    assert len(kept(stores[0])) == 40
    stores[1].replace("u0", {"tea": 1.0})
    assert {item: value for (user, item), value in kept(stores[0]).items() if user == "u0" and value is not None} == {
        "tea": 1.0
    }
    events = EventsStore(stores[0])
    lists = [ServedList(new_id("x"), day * 86_400.0, f"u{day}", "", "A", "m", "{}", ("i1",)) for day in (0, 1)]
    events.write(lists, [Event(one.list_id, "i1", "chosen", 1.0) for one in lists])
    assert stores[0].erase("u0") == 15
    assert logged_lists(events)["user"].to_list() == ["u1"]
    assert events.expire(10**6) == 1
    assert not [user for user, _ in kept(stores[1]) if user == "u0"]
    for store in stores:
        store.close()
