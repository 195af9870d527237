"""Every table, imported here so that metadata is complete wherever one of them is."""

from pdp.store.tables import audit, device, document, exposure, job, oidc, subject, task

__all__ = ["audit", "device", "document", "exposure", "job", "oidc", "subject", "task"]
