"""The report that people look at: one self-contained page, made from a decision and its evidence."""
