"""From sources to prepared arrays."""
