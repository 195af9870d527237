"""What counts once: of any number of transactions that spend it at the same time one does."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from pdp.store import single_use
from pdp.store.single_use import Kind
from tests.builders import NOW


def test_of_eight_transactions_that_spend_one_value_at_once_one_does(database):
    barrier = Barrier(8)

    def spend(value):
        barrier.wait()
        with database.write() as tx:
            return single_use.spend(tx, Kind.CLIENT_ASSERTION, value, expires_at=NOW)

    with ThreadPoolExecutor(8) as pool:
        for value in map(str, range(10)):
            assert sum(pool.map(spend, [value] * 8)) == 1


def test_a_value_is_spent_for_its_own_kind_alone(database):
    with database.write() as tx:
        assert all(single_use.spend(tx, kind, "value", expires_at=NOW) for kind in Kind)
        assert not any(single_use.spend(tx, kind, "value", expires_at=NOW) for kind in Kind)
