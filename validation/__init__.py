"""Judge embedding stores: collect evidence, check it against the policy, decide, record, render."""
