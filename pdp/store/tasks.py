"""Security tasks: one row for each (device, rule, source, attribute), reopened on relapse."""

from collections.abc import Sequence
from typing import Any

from pdp.domain.errors import Conflict
from pdp.domain.ids import DeviceId, SourceId, TaskId
from pdp.domain.task import SecurityTask, TaskState
from pdp.store.base import from_micros, from_micros_or_none, to_micros, to_micros_or_none
from pdp.store.database import Statement, Transaction

_COLUMNS = (
    "id, code, device_id, rule, source_id, attribute, title, category, state, opened_at,"
    " closed_at, waived_until"
)
_INSERT = Statement(
    f"INSERT INTO tasks ({_COLUMNS}) VALUES (:id, :code, :device_id, :rule, :source_id,"  # noqa: S608  columns are ours
    " :attribute, :title, :category, :state, :opened_at, :closed_at, :waived_until)"
)
_SAVE = Statement(
    "UPDATE tasks SET title = :title, category = :category, state = :state,"
    " opened_at = :opened_at, closed_at = :closed_at, waived_until = :waived_until WHERE id = :id"
)
_OF_DEVICE = Statement(
    f"SELECT {_COLUMNS} FROM tasks WHERE device_id = :device_id ORDER BY opened_at, id"  # noqa: S608  columns are ours
)
_BY_CODE = Statement(f"SELECT {_COLUMNS} FROM tasks WHERE code = :code")  # noqa: S608  columns are ours


def of_device(tx: Transaction, device_id: DeviceId) -> list[SecurityTask]:
    """Return every task of a device, closed ones included, the oldest first."""
    return [_task(row) for row in tx.all(_OF_DEVICE, {"device_id": device_id})]


def open_of_device(tx: Transaction, device_id: DeviceId) -> list[SecurityTask]:
    """Return the open tasks of a device, the oldest first."""
    return [task for task in of_device(tx, device_id) if task.state is TaskState.OPEN]


def find_by_code(tx: Transaction, code: str) -> SecurityTask | None:
    """Return the task that people call `code`, or None."""
    row = tx.one(_BY_CODE, {"code": code.strip().upper()})
    return None if row is None else _task(row)


def insert(tx: Transaction, task: SecurityTask) -> None:
    """Keep a new task."""
    tx.run(
        _INSERT,
        {
            "id": task.id,
            "code": task.code,
            "device_id": task.device,
            "rule": task.rule,
            "source_id": task.source or "",
            "attribute": task.attribute,
            "title": task.title,
            "category": task.category,
            "state": task.state.value,
            "opened_at": to_micros(task.opened_at),
            "closed_at": to_micros_or_none(task.closed_at),
            "waived_until": to_micros_or_none(task.waived_until),
        },
    )


def save(tx: Transaction, task: SecurityTask) -> None:
    """Write a task's new state; Conflict if there is no such task."""
    changed = tx.run(
        _SAVE,
        {
            "id": task.id,
            "title": task.title,
            "category": task.category,
            "state": task.state.value,
            "opened_at": to_micros(task.opened_at),
            "closed_at": to_micros_or_none(task.closed_at),
            "waived_until": to_micros_or_none(task.waived_until),
        },
    )
    if changed != 1:
        raise Conflict(f"task {task.code} is gone")


def _task(row: Sequence[Any]) -> SecurityTask:
    return SecurityTask(
        id=TaskId(row[0]),
        code=row[1],
        device=DeviceId(row[2]),
        rule=row[3],
        source=SourceId(row[4]) if row[4] else None,
        attribute=row[5],
        title=row[6],
        category=row[7],
        state=TaskState(row[8]),
        opened_at=from_micros(row[9]),
        closed_at=from_micros_or_none(row[10]),
        waived_until=from_micros_or_none(row[11]),
    )
