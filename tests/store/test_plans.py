"""Plans of PostgreSQL are made while tables are small, and have to be good when they are not."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping

import pdp.store
from pdp.store.database import Database, Statement, Transaction

#: Tables that grow with persons, devices and what they do; the others are the operator's.
GROWING = """
    audit_events codes decisions deliveries device_names devices exposures grants jobs
    parked_requests readings refresh_tokens revoked_tokens sessions signals single_use subjects
    tasks
"""
#: What reads a table whole because it is about all of it: lists for people, and figures.
ABOUT_ALL = {"pdp.store.jobs._BACKLOG", "pdp.store.jobs._LIST", "pdp.store.sessions._LIST"}


def _statements() -> Iterator[tuple[str, Statement]]:
    """Every statement of the store, by the module and name that it has."""
    for found in pkgutil.iter_modules(pdp.store.__path__, "pdp.store."):
        if found.ispkg:
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            many = value.values() if isinstance(value, Mapping) else [value]
            for each in many:
                if isinstance(each, Statement):
                    yield f"{found.name}.{name}", each


def _plan(tx: Transaction, statement: Statement) -> str:
    """The plan that is made for any values; nothing of it is carried out."""
    run = tx.orm.connection().exec_driver_sql
    run(f"PREPARE tried AS {statement.postgresql.decode()}")
    given = f"({', '.join(['NULL'] * len(statement.names))})" if statement.names else ""
    lines = [line for (line,) in run(f"EXPLAIN EXECUTE tried{given}")]
    run("DEALLOCATE tried")
    return "\n".join(lines)


def test_no_table_that_grows_is_read_whole(postgresql_url: str):
    """Not even where that looks cheaper, as it does while they are empty."""
    database = Database.open(postgresql_url)
    whole = {}
    with database.write() as tx:
        tx.orm.connection().exec_driver_sql("ANALYZE")
        tx.orm.connection().exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        for name, statement in _statements():
            words = statement.postgresql.decode().split(maxsplit=1)[0]
            if words not in {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}:
                continue
            read = set(re.findall(r"Seq Scan on (\w+)", _plan(tx, statement)))
            if read & set(GROWING.split()):
                whole[name] = read
    database.close()
    assert set(whole) == ABOUT_ALL, whole


def test_the_open_tasks_of_a_device_are_found_without_those_of_others(postgresql_url: str):
    database = Database.open(postgresql_url)
    with database.write() as tx:
        tx.orm.connection().exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        plan = _plan(tx, dict(_statements())["pdp.store.standings._OF_TOKEN"])
    database.close()
    assert re.search(r"on tasks t\b.*\n\s+(Recheck|Index) Cond: .*device_id", plan), plan
