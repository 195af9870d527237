"""Tasks: closed by proof, open again after a relapse, and neither of it twice."""

from datetime import timedelta

import pytest

from pdp.domain.errors import InvalidTransition
from pdp.domain.task import SecurityTask, TaskState
from tests.builders import NOW, a_task

LATER = NOW + timedelta(hours=1)
WAIVED = a_task(state=TaskState.WAIVED, waived_until=LATER)
CLOSED = a_task(state=TaskState.CLOSED, closed_at=NOW)


@pytest.mark.parametrize("task", [a_task(), WAIVED], ids=["open", "waived"])
def test_a_task_is_closed_when_its_finding_is_disproved(task: SecurityTask):
    closed = task.verified_closed(LATER)

    assert (closed.state, closed.closed_at) == (TaskState.CLOSED, LATER)


def test_a_task_is_closed_once():
    with pytest.raises(InvalidTransition, match="task ABCD-EFGH is closed"):
        CLOSED.verified_closed(LATER)


@pytest.mark.parametrize("task", [CLOSED, WAIVED], ids=["closed", "waived"])
def test_a_task_is_open_again_after_a_relapse_as_if_it_were_new(task: SecurityTask):
    assert task.reopened(LATER) == a_task(opened_at=LATER)


def test_a_task_that_is_open_is_not_opened_again():
    with pytest.raises(InvalidTransition, match="task ABCD-EFGH is open"):
        a_task().reopened(LATER)
