"""Tests of the report in a browser; run by `nox -s browser` only."""
