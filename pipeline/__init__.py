"""Build embedding stores: frozen text in, vectors and a SQLite database per candidate out."""
