"""Signals are noted, and act later."""

import os
import signal

import pytest

from pokeutils.common.interruptions import Interruptions


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interruptions([].append) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.wanted is None
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_are_noted_once_and_only_ctrl_c_presses(name):
    said = []
    with Interruptions(lambda line, flush: said.append(line)) as stop:
        for _ in range(2 if name != "SIGINT" else 1):
            os.kill(os.getpid(), getattr(signal, name))
        assert stop.wanted == {"SIGINT": "Ctrl-C"}.get(name, name)
        assert said == [f"{stop.wanted}: finishing this step, then saving."]
        with pytest.raises(KeyboardInterrupt):  # the second request is at once
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
