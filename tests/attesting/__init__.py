"""Tests of attesting."""
