"""Spoilt bytes for every reader and light command line."""
