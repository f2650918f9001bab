"""The generator as a page that runs in its reader's browser."""
