"""Tests, one file a module; shared fixtures are in `conftest`."""
