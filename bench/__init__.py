"""The figures of ``docs/bench.md``: ``python -m bench``, one part a file."""
