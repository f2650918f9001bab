"""How it is trained: the loop, the run folder, what keeps it safe."""
