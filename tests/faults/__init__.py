"""The catalogue of faults: what can go wrong with stores, gold sets, rules and machine, and what the gate says to it."""
