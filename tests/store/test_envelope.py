"""What is encrypted at rest opens with its own master key, at its own place, and says why not."""

import pytest

from pdp.store.envelope import CannotOpen, Envelope, key_id_of, new_master_key

PLACE = "sources:secret:edr"


def test_another_master_key_is_refused_with_both_fingerprints_and_the_cure():
    first, second = (Envelope.from_text(new_master_key()) for _ in range(2))
    sealed = first.seal("the secret", place=PLACE)

    with pytest.raises(CannotOpen) as refused:
        second.open(sealed, place=PLACE)

    said = str(refused.value)
    assert all(part in said for part in (PLACE, first.key_id, second.key_id, "keys.master_path"))
    assert "the secret" not in said
    assert key_id_of(sealed) == first.key_id


def test_a_ciphertext_that_was_moved_to_another_place_is_refused():
    envelope = Envelope.from_text(new_master_key())
    sealed = envelope.seal("the secret", place=PLACE)

    assert envelope.open(sealed, place=PLACE) == "the secret"
    with pytest.raises(CannotOpen, match="altered or belongs elsewhere"):
        envelope.open(sealed, place="sources:secret:mdm")


@pytest.mark.parametrize("text", ["", "not base64!", "c2hvcnQ="])
def test_what_is_no_master_key_is_refused(text: str):
    with pytest.raises(CannotOpen, match="master key must be"):
        Envelope.from_text(text)
