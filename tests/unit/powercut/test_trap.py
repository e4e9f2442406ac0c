"""The trap holds up exactly the write that it waits for, and lets it go."""

from __future__ import annotations

import threading

from tests.powercut.trap import Trap


def test_the_write_that_is_waited_for_is_held_up_until_it_was_looked_at() -> None:
    trap, passed = Trap(), list[int]()

    def write() -> None:
        for number in range(5):
            trap.saw(b"")
            passed.append(number)

    writer = threading.Thread(target=write)

    def given_up() -> bool:
        if writer.ident is None:
            writer.start()
        return False

    with trap.caught(3, given_up) as caught:
        assert caught
        assert passed == [0, 1]
    writer.join(10)
    assert passed == [0, 1, 2, 3, 4]


def test_nothing_is_held_up_where_no_write_comes() -> None:
    trap = Trap()
    with trap.caught(1, lambda: True) as caught:
        assert not caught
        trap.saw(b"")
    trap.saw(b"")
