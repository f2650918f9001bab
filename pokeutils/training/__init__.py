"""How a recipe is trained: the loop, the run folder, and what keeps it safe."""


def train(*arguments, **options):
    """`loop.train`, which brings TensorFlow: imported when it is called."""
    from pokeutils.training import loop

    return loop.train(*arguments, **options)
