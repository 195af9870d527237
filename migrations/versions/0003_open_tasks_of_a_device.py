"""the open tasks of a device are found by whichever index a plan takes"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_tasks_state", "tasks")
    op.create_index("ix_tasks_state_device_id", "tasks", ["state", "device_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_tasks_state_device_id", "tasks")
    op.create_index("ix_tasks_state", "tasks", ["state"], unique=False)
