"""The wire distinguishes the commit of a transaction from that of a lone statement."""

from tests.e2e.wire import COMMIT, Frames

STARTUP = b"\0\0\0\x08\0\x03\0\0"
BEGIN = b"Q\0\0\0\x0abegin\0"
STATEMENT = b"P\0\0\0\x09sql\0\0" + b"S\0\0\0\x04"


def ends(*chunks: bytes) -> list[bool]:
    """Return for each commit whether it ends a transaction."""
    frames = Frames()
    found = [
        (frame, frames.ends_transaction(frame)) for chunk in chunks for frame in frames.feed(chunk)
    ]
    return [is_end for frame, is_end in found if frame == COMMIT]


def test_the_commit_of_a_lone_statement_is_none_of_a_transaction() -> None:
    assert ends(STARTUP, BEGIN + STATEMENT, COMMIT) == [False]
    assert ends(STARTUP, BEGIN + STATEMENT + COMMIT, BEGIN + STATEMENT, COMMIT) == [False, False]


def test_a_transaction_ends_with_its_commit() -> None:
    assert ends(STARTUP, BEGIN + STATEMENT, STATEMENT, COMMIT) == [True]


def test_frames_are_whole_wherever_they_are_cut() -> None:
    sent = STARTUP + BEGIN + STATEMENT + STATEMENT + COMMIT
    frames = Frames()
    assert b"".join(frames.feed(sent)) == sent
    assert ends(*(sent[at : at + 1] for at in range(len(sent)))) == [True]
