"""Signals are noted, and act later."""

import os
import signal

from pokeutils.common.interruptions import Interruptions


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interruptions([].append) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.wanted is None
    finally:
        signal.signal(signal.SIGHUP, before)
