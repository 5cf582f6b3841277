"""The results of the benchmarks as Markdown: the machine, and a table for each race."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
from threadpoolctl import threadpool_info

# Whose figures stand in the tables, and what the figures depend on.
PACKAGES = (
    *("numpy", "scipy", "torch", "transformers", "sentence-transformers", "great-expectations", "dvc"),
    *("faiss-cpu", "usearch", "ranx", "pytrec_eval-terrier", "onnxruntime", "openvino", "pyspark"),
)
HEAD = "| method | median | × ours | peak MB | without files | set-up | limit |"


def describe_machine() -> dict[str, Any]:
    """Return memory in GB, the BLAS that numpy runs on, and the versions of the packages that are installed."""
    import numpy as np

    blas: dict[str, Any] = next((each for each in threadpool_info() if np.__name__ in each["filepath"]), {})
    return {
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "blas": " ".join(str(blas[key]) for key in ("internal_api", "version", "architecture") if key in blas),
        "packages": {name: found for name in PACKAGES if (found := _find_version(name))},
    }


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def render_tables(document: dict[str, Any]) -> str:
    """Return what pytest-benchmark's JSON holds, as Markdown; benchmarks that are no races have a line each."""
    races = [each for each in document["benchmarks"] if "methods" in each["extra_info"]]
    others = [each for each in document["benchmarks"] if "methods" not in each["extra_info"]]
    groups = Counter(each["group"] for each in races)
    tables = [_render_race(each, _name_race(each, groups)) for each in races]
    parts = ["# Benchmarks", _render_machine(document["machine_info"]), *tables]
    lines = [f"* {each['name']}: {_tell_seconds(each['stats']['median'])}" for each in others]
    return "\n\n".join([*parts, *(["\n".join(["## Others", "", *lines])] if lines else [])]) + "\n"


def _render_machine(machine: dict[str, Any]) -> str:
    cpu, packages = machine["cpu"], machine["packages"].items()
    system = f"{machine['system']} {machine['release']}, Python {machine['python_version']}"
    return "\n".join(
        [
            f"* {cpu.get('brand_raw', machine['machine'])}, {cpu['count']} cores, {machine['memory_gb']} GB",
            f"* {system}, numpy on {machine['blas']}",
            f"* {', '.join(' '.join(each) for each in packages)}",
            "",
            "Each method runs in its own process, in turn, with as many threads. *× ours*: median over that of ours.",
            "*Peak*: memory resident during the calls. *Without files*: less the pages of mapped files, in one call.",
            "*Set-up*: seconds before the calls, imports included, and the peak of memory until then.",
        ]
    )


def _name_race(result: dict[str, Any], groups: Counter[str | None]) -> str:
    """Return the group of a race, and which one of the group it is where there are more; without a group, its name."""
    group: str | None = result["group"]
    if group is None:
        return str(result["name"])
    return f"{group}: {result['param']}" if groups[group] > 1 else group


def _render_race(result: dict[str, Any], name: str) -> str:
    info = result["extra_info"]
    ours = next(iter(info["methods"].values()))["median"]
    rows = [_render_row(name, each, ours, info["limits"].get(name)) for name, each in info["methods"].items()]
    about = f"{info['threads']} thread(s), {info['rounds']} rounds of {info['calls']} call(s). {info['answers']}"
    dashes = "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
    return "\n".join([f"## {name}", "", about, "", HEAD, dashes, *rows])


def _render_row(name: str, lane: dict[str, Any], ours: float, limit: dict[str, Any] | None) -> str:
    memory = f"{lane['peak_mb']:.0f} | {lane['anonymous_mb']:.0f}"
    setup = f"{lane['setup_seconds']:.1f} s, {lane['setup_mb']:.0f} MB"
    times = f"{lane['median'] / ours:.3g}"
    return f"| {name} | {_tell_seconds(lane['median'])} | {times} | {memory} | {setup} | {_tell_limit(limit)} |"


def _tell_limit(limit: dict[str, Any] | None) -> str:
    if limit is None:
        return ""
    allowed = limit["limit"]
    wanted = f"ours ≤ {allowed:g} × this" if allowed >= 1 else f"ours ≥ {1 / allowed:g} × quicker"
    return f"{wanted}: {'held' if limit['held'] else 'NOT HELD'} ({limit['ratio']:.3g})"


def _tell_seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
