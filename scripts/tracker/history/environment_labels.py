"""How machines and environments are called on the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scripts.tracker.history.model import Environment

_AXES = {
    "env-ACESTEP_BENCH_SCALE": "{}",
    "env-ACESTEP_BENCH_DEVICE": "{}",
    "pip+torch": "torch {}",
    "torch": "torch {}",
}


def environment_label(environment: Environment, varying: Iterable[str]) -> str:
    """Machine, scale, device and torch, and whatever else tells the environments apart.

    An environment that asv found instead of making it is told by its Python alone: asv knows nothing of what is in it.
    """
    parts = [environment.machine]
    if _was_found(environment):
        return " · ".join([*parts, str(environment.parameters["python"])])
    for name, text in _AXES.items():
        value = environment.parameters.get(name)
        if value:
            parts.append(text.format(value))
    for name in varying:
        value = environment.parameters.get(name)
        if value and name not in {*_AXES, "machine"}:
            parts.append(f"{name.removeprefix('env-').removeprefix('pip+')} {value}")
    return " · ".join(parts)


def varying_parameters(environments: Sequence[Environment]) -> list[str]:
    """Names of the parameters that tell environments of the same machine apart."""
    by_machine: dict[str, list[Environment]] = {}
    for environment in environments:
        if not _was_found(environment):
            by_machine.setdefault(environment.machine, []).append(environment)
    names = {
        name
        for same in by_machine.values()
        for name in same[0].parameters
        if len({environment.parameters.get(name) for environment in same}) > 1
    }
    return sorted(names)


def _was_found(environment: Environment) -> bool:
    """Whether its Python is a path, as in ``asv run -E existing:.venv/bin/python``, and no version."""
    return "/" in (environment.parameters.get("python") or "")
