"""Names of things, kept apart by type so that a device id cannot pass for a client id."""

from typing import NewType

SubjectId = NewType("SubjectId", str)
DeviceId = NewType("DeviceId", str)
ClientId = NewType("ClientId", str)
SourceId = NewType("SourceId", str)
SessionId = NewType("SessionId", str)
GrantId = NewType("GrantId", str)
TaskId = NewType("TaskId", str)
PolicyId = NewType("PolicyId", str)
DecisionId = NewType("DecisionId", str)
