"""Functions in processes of their own, so that nothing that one of them imports, caches
or allocates touches another.

    python -m benchmarks.child MODULE:FUNCTION '{"argument": ...}'

prints what the function returns as one line of JSON. A generator function yields one
answer at once and one for every line of JSON that it is sent.
"""

import importlib
import inspect
import json
import os
import resource
import subprocess
import sys
import time

from pokeutils.common import env

# One thread of torch.compile builds in this process, where its CPU time is seen.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
QUIET |= {"PYTHONWARNINGS": "ignore", "TF_ENABLE_ONEDNN_OPTS": "1"}


class Child:
    """A running function; `first` is its first answer. Use it in a `with` block."""

    def __init__(self, function, settings=None, **arguments):
        command = [sys.executable, "-m", "benchmarks.child", function]
        self.function = function
        self.process = subprocess.Popen(
            [*command, json.dumps(arguments)],
            cwd=env.ROOT,
            env={**os.environ, **QUIET, **(settings or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.__exit__()
            raise RuntimeError(
                f"{self.function} ended with code {self.process.returncode} and no "
                "answer; what it said is above."
            )
        return json.loads(line)

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def call(function, settings=None, **arguments):
    """Returns what "module:function" returns in a fresh process."""
    with Child(function, settings, **arguments) as child:
        return child.first


class Clock:
    """Wall and CPU seconds since it was made, of this process and of its children that
    have ended (compilers)."""

    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), self._used()

    @staticmethod
    def _used():
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + ended.ru_utime + ended.ru_stime

    def read(self):
        return {
            "wall": time.perf_counter() - self.wall,
            "cpu": self._used() - self.cpu,
        }


def peak_memory():
    """Returns the most memory that this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def main(target, arguments):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not get between the answers

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    module, name = target.split(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    if not inspect.isgenerator(result):
        return say(result)
    say(next(result))
    for line in sys.stdin:
        say(result.send(json.loads(line)))


if __name__ == "__main__":
    main(*sys.argv[1:])
