"""How time and memory grow with rows and with questions: `nox -s growth`."""
