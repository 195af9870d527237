"""A bounded memory forgets what was used longest ago, and nothing else."""

import threading

from pdp.lately import Lately


def test_what_was_used_longest_ago_makes_room():
    memory: Lately[str, int] = Lately(2)
    memory.keep("one", 1)
    memory.keep("two", 2)
    assert memory.find("one") == 1

    memory.keep("three", 3)

    assert (memory.find("one"), memory.find("two"), memory.find("three")) == (1, None, 3)
    assert len(memory) == 2


def test_what_is_kept_anew_counts_as_used():
    memory: Lately[str, int] = Lately(2)
    memory.keep("one", 1)
    memory.keep("two", 2)
    memory.keep("one", 11)

    memory.keep("three", 3)

    assert (memory.find("one"), memory.find("two")) == (11, None)


def test_threads_share_it():
    memory: Lately[int, int] = Lately(50)

    def use(begin: int) -> None:
        for number in range(begin, begin + 1000):
            memory.keep(number, number)
            assert memory.find(number) in {number, None}

    threads = [threading.Thread(target=use, args=(begin,)) for begin in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(memory) == 50
