"""Attesting: a decision becomes a signed statement about the bytes that were judged, and is verified offline."""
