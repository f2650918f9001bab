"""A small package for the notebook series: pictures in, new creatures out.

Importing it imports nothing else, so it is instant; name the module you want:
`from pokeutils import env`.
"""

import os

__version__ = "0.1.0"

# TensorFlow leaves its oneDNN kernels off on CPUs without AVX512, where they make a
# train step 1.3 to 1.5 times faster. It reads this when it is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Its C++ remarks would end up in the notebooks; real errors are Python exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
