"""Apache Spark for those who have outgrown one machine: a session, rows by range, and embedding on workers."""
