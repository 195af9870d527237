"""jobs name their receiver and count its refusals; a source's last delivery is found by an index"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_JOBS = sa.table(
    "jobs", sa.column("id"), sa.column("type"), sa.column("payload"), sa.column("receiver")
)


def _receiver(payload: str) -> str:
    """Return the client of a logout; nobody, if its row cannot be read."""
    try:
        document = json.loads(payload)
    except ValueError:
        return ""
    client = document.get("client") if isinstance(document, dict) else None
    return client if isinstance(client, str) else ""


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("receiver", sa.String(length=64), nullable=False, server_default="")
    )
    op.add_column("jobs", sa.Column("refusals", sa.Integer(), nullable=False, server_default="0"))
    connection = op.get_bind()
    logouts = connection.execute(
        sa.select(_JOBS.c.id, _JOBS.c.payload).where(_JOBS.c.type == "deliver-logout")
    ).all()
    for job_id, payload in logouts:
        receiver = _receiver(payload)
        connection.execute(sa.update(_JOBS).where(_JOBS.c.id == job_id).values(receiver=receiver))
    op.drop_index("ix_jobs_state_not_before", "jobs")
    op.create_index(
        "ix_jobs_state_receiver_not_before",
        "jobs",
        ["state", "receiver", "not_before"],
        unique=False,
    )

    op.drop_index("ix_deliveries_received_at", "deliveries")
    op.create_index(
        "ix_deliveries_source_id_received_at",
        "deliveries",
        ["source_id", "received_at"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_source_id_received_at", "deliveries")
    op.create_index("ix_deliveries_received_at", "deliveries", ["received_at"], unique=False)

    op.drop_index("ix_jobs_state_receiver_not_before", "jobs")
    op.drop_column("jobs", "refusals")
    op.drop_column("jobs", "receiver")
    op.create_index("ix_jobs_state_not_before", "jobs", ["state", "not_before"], unique=False)
