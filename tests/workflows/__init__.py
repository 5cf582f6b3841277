"""The rules that the workflows on GitHub obey, and the tests that hold them to it."""
