"""TensorFlow set up for training: sums in order, threads as they are fastest."""

import subprocess
import sys

import keras
import pytest

from pokeutils.common import device, env


def test_sums_add_up_in_the_order_in_which_they_are_written():
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow" or tf.config.list_logical_devices("GPU"):
        pytest.skip("promised for TensorFlow on CPUs")
    device.tune(64)

    @tf.function
    def total(x):
        late = x
        for _ in range(12):
            late = tf.sin(late)
        return tf.add_n([0 * late + 1e8, 0 * x - 1e8, x])  # 1e8 + 1 is 1e8 in float32

    large = tf.ones((8_000_000,))  # only large graphs are reordered
    assert float(total(large)[0]) == 1


THREADS = """
import sys, tensorflow as tf
from pokeutils.common import device
device.cores = lambda: int(sys.argv[1])
if sys.argv[2] == "set":
    tf.config.threading.set_intra_op_parallelism_threads(3)
if sys.argv[2] == "begun":
    tf.constant(1.0) + 1.0
device.tune(8)
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.mark.parametrize(
    "cores, before, threads", [(2, "", 1), (4, "", 0), (2, "set", 3), (2, "begun", 0)]
)
def test_two_cores_take_an_operation_each_unless_told_otherwise(cores, before, threads):
    command = [sys.executable, "-c", THREADS, str(cores), before]
    done = subprocess.run(command, cwd=env.ROOT, capture_output=True, text=True)
    assert done.stdout == f"{threads}\n", done.stderr
