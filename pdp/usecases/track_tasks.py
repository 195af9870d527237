"""Security tasks follow the assessment: opened with a finding, closed by what disproves it."""

from datetime import datetime
from typing import Final

from pdp.clock import new_code, new_id
from pdp.domain.compliance import Assessment, Cause, Compliance
from pdp.domain.events import Action, Event
from pdp.domain.ids import DeviceId, SourceId, TaskId
from pdp.domain.task import SecurityTask, TaskState
from pdp.policy.rules import BLOCKED, OVERRIDE
from pdp.store import audit, tasks
from pdp.store.database import Transaction

#: What no person at the device can put right: an administrator's word, and our own failure.
_NOT_THEIRS: Final = frozenset({BLOCKED, OVERRIDE})

Identity = tuple[str, SourceId | None, str]


def asks_for_action(cause: Cause) -> bool:
    """Tell whether a person at the device can do something about the cause."""
    return cause.rule not in _NOT_THEIRS and cause.status not in {
        Compliance.COMPLIANT,
        Compliance.ERROR,
    }


def track_tasks(
    tx: Transaction, device_id: DeviceId, assessment: Assessment, *, actor: str, now: datetime
) -> None:
    """Open, reopen and close the device's tasks, so that they say what the assessment says.

    A waived task stays so until its waiver ends, and closes like any other when disproved.
    """
    causes = {
        (cause.rule, cause.source, cause.attribute): cause
        for cause in assessment.causes
        if asks_for_action(cause)
    }
    known = {
        (task.rule, task.source, task.attribute): task for task in tasks.of_device(tx, device_id)
    }
    for identity, cause in causes.items():
        task = known.get(identity)
        if task is None:
            _open(tx, device_id, cause, actor=actor, now=now)
        elif _is_relapse(task, now):
            tasks.save(tx, task.reopened(now))
            _tell(tx, task, Action.TASK_OPENED, actor=actor, now=now)
    for identity, task in known.items():
        if identity not in causes and task.state is not TaskState.CLOSED:
            tasks.save(tx, task.verified_closed(now))
            _tell(tx, task, Action.TASK_CLOSED, actor=actor, now=now)


def _is_relapse(task: SecurityTask, now: datetime) -> bool:
    match task.state:
        case TaskState.OPEN:
            return False
        case TaskState.CLOSED:
            return True
        case TaskState.WAIVED:
            return task.waived_until is None or task.waived_until <= now


def _open(tx: Transaction, device_id: DeviceId, cause: Cause, *, actor: str, now: datetime) -> None:
    letters = new_code(8).upper()
    task = SecurityTask(
        id=TaskId(new_id("tsk")),
        code=f"{letters[:4]}-{letters[4:]}",
        device=device_id,
        rule=cause.rule,
        source=cause.source,
        attribute=cause.attribute,
        title=cause.title,
        category=cause.category,
        state=TaskState.OPEN,
        opened_at=now,
    )
    tasks.insert(tx, task)
    _tell(tx, task, Action.TASK_OPENED, actor=actor, now=now)


def _tell(
    tx: Transaction, task: SecurityTask, action: Action, *, actor: str, now: datetime
) -> None:
    audit.append(
        tx,
        Event(
            at=now,
            actor=actor,
            action=action,
            kind="task",
            object_id=task.id,
            detail={"code": task.code, "device": task.device, "rule": task.rule},
        ),
    )
