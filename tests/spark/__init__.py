"""What needs Spark; run by `nox -s spark`."""
