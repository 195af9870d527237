"""What pages tell of permissions: each by its name, and the API that it belongs to."""

from collections.abc import Iterable

from pdp.domain.client import Resource


def shown_scopes(
    names: Iterable[str], resources: Iterable[Resource]
) -> list[dict[str, str | None]]:
    """Return the scopes in the order given; `resource` is None where no registered API has it."""
    owners = {scope: resource.identifier for resource in resources for scope in resource.scopes}
    return [{"name": name, "resource": owners.get(name)} for name in dict.fromkeys(names)]
