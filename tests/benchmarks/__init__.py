"""Benchmarks, left out of the ordinary run: `python -m pytest tests/benchmarks --benchmark-only`."""
