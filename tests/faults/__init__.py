"""The catalogue of faults: what can go wrong with stores, texts, rules and machine, and what the gate says to it."""
