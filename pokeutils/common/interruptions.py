"""Signals that ask a program to stop, noted until it can do so without a loss."""

import contextlib
import signal
import threading

from pokeutils.common import env


class Interruptions:
    """While the `with` block runs, signals that ask to stop only set `wanted`: to
    "Ctrl-C" or to the signal's name. A second Ctrl-C interrupts at once.

    A signal that this process ignores (`nohup`) stays ignored; and outside of the main
    thread, Python leaves signals alone.
    """

    def __init__(self, show=env.say):
        self.show, self.wanted, self.before = show, None, {}

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number and signal.getsignal(number) not in (signal.SIG_IGN, None):
                self.before[number] = signal.signal(number, self.note)
        return self

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def note(self, number, frame):
        if number == signal.SIGINT and self.wanted:
            raise KeyboardInterrupt
        asked, name = self.wanted, signal.Signals(number).name
        self.wanted = "Ctrl-C" if name == "SIGINT" else name
        if not asked:  # `timeout make run` and the like send it twice
            self.begin_to_stop()

    def begin_to_stop(self):
        """What is done at the first signal."""
        self.tell(f"{self.wanted}: finishing this step, then saving.")

    def tell(self, line):
        """Shows a line, from within a signal handler."""
        with contextlib.suppress(RuntimeError):  # it came while something was printed
            self.show(line, flush=True)
