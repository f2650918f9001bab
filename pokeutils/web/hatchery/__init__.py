"""The generator as a page."""
