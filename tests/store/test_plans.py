"""Plans of PostgreSQL are made while tables are small, and have to be good when they are not."""

import re

from pdp.store.database import Database, Statement
from tests.builders import FrozenClock
from tests.deployment import a_calm, a_risky, ingest
from tests.oidc.world import World

#: Tables that grow with persons, devices and what they do; the others are the operator's.
GROWING = """
    audit_events codes decisions deliveries device_names devices exposures grants jobs
    parked_requests readings refresh_tokens revoked_tokens sessions signals single_use subjects
    tasks
"""
PREPARED = Statement(
    "SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements"
    " WHERE NOT from_sql"
)


def test_no_table_that_grows_is_read_whole(postgresql_url: str):
    """Not even where that looked cheaper: with a row in each, and counted (ANALYZE)."""
    # One connection, which prepares what all of them would.
    database = Database.open(postgresql_url, pool_size=1)
    world = World(database, FrozenClock())
    tokens = world.tokens()
    renewed = world.refresh(tokens["refresh_token"])
    assert renewed.status == 200
    access = str(renewed.body["access_token"])
    assert world.machine_token().status == 200
    assert world.userinfo(access).status == 200
    assert world.introspect(access, "wiki")["active"] is True
    ingest(database, a_risky("evt-1"))
    assert world.introspect(access, "wiki")["active"] is False
    ingest(database, a_calm("evt-2"))
    world.close()

    with database.write() as tx:
        tx.orm.connection().exec_driver_sql("ANALYZE")
        tx.orm.connection().exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        found = {}
        for name, text, count in tx.all(PREPARED, {}):
            given = f"({', '.join(['NULL'] * count)})" if count else ""
            plan = tx.orm.connection().exec_driver_sql(f"EXPLAIN EXECUTE {name}{given}")
            whole = re.findall(r"Seq Scan on (\w+)", "\n".join(line for (line,) in plan))
            if set(whole) & set(GROWING.split()):
                found[text] = whole
    database.close()
    assert not found
