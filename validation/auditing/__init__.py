"""What an auditor takes away: documents made from a decision and its evidence, schemas, and one folder with all."""
