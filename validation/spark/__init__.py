"""The gate on Apache Spark: suites on its engine of Great Expectations, search by part and a merge."""
