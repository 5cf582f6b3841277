"""Hypothesis as mutation testing needs it: a pytest plugin that only `nox -s mutate` loads.

The same examples each time; a failure counts as it is found, for to shrink or to explain it takes seconds a mutant.
"""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "mutation",
    parent=settings.get_profile("ci"),
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
)
settings.load_profile("mutation")
