"""How long a token outlives its device's health: measured on the served product, and recorded."""

import time
from collections.abc import Callable

import pytest

from pdp.cli.demonstration.cast import EXPENSES
from pdp.cli.demonstration.folder import DemoFolder
from pdp.cli.demonstration.stage import Stage
from tests.journeys.conftest import ALICES, Deployment

#: A bound for a machine under any load; `make bench` measures how fast it is.
WITHIN_SECONDS = 5


def test_introspection_denies_as_soon_as_the_webhook_is_answered(
    deployment: Deployment, signed_in: Stage, record_property: Callable[[str, object], None]
):
    token = signed_in.tokens["access_token"]
    assert deployment.is_active(token)

    deployment.turns_risky()
    answered = time.perf_counter()
    # No waiting in between: what was answered is committed, and counts with the next question.
    assert not deployment.is_active(token)

    took = time.perf_counter() - answered
    record_property("exposure_after_answer_ms", round(took * 1000, 1))
    assert took < WITHIN_SECONDS


def test_a_healed_devices_token_counts_again_with_the_next_question(
    deployment: Deployment, signed_in: Stage
):
    token = signed_in.tokens["access_token"]
    deployment.turns_risky()
    assert not deployment.is_active(token)

    deployment.heals()

    assert deployment.is_active(token)


@pytest.fixture
def signed_in(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Alice signed in to the app Expenses on her device, with its tokens."""
    folder = DemoFolder(tmp_path_factory.mktemp("stage"))
    stage = Stage(folder, deployment.notes, deployment.links)
    page = stage.browser.open(deployment.links[ALICES.name])
    stage.browser.submit(page, page.form("csrf_token"))
    page = stage.app_signs_in(EXPENSES)
    password = deployment.notes.passwords[ALICES.owner]
    form = page.form("username", "password")
    stage.app_gets_tokens(
        stage.browser.submit(page, form, username=ALICES.owner, password=password)
    )
    return stage
