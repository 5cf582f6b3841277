"""Tests of releasing, falling back and proving both, with real Git and real DVC."""
