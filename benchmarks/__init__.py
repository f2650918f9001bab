"""How fast this project is, beside what one would use instead: `make bench`.

What was measured, and how, is in benchmarks/README.md.
"""
