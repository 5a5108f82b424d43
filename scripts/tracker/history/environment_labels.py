"""Labels of machines and environments for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scripts.tracker.history.model import Environment

_LABELS = {
    "env-ACESTEP_BENCH_SCALE": "{}",
    "env-ACESTEP_BENCH_DEVICE": "{}",
    "pip+torch": "torch {}",
    "torch": "torch {}",
}
"""Parameters that are always part of a label, and their texts."""


def environment_label(environment: Environment, varying: Iterable[str]) -> str:
    """Return machine, scale, device, torch, and the *varying* parameters that distinguish environments.

    For an existing environment, which asv did not make, only machine and Python are known.
    """
    parts = [environment.machine]
    if _is_existing(environment):
        return " · ".join([*parts, str(environment.parameters["python"])])
    for name, text in _LABELS.items():
        value = environment.parameters.get(name)
        if value:
            parts.append(text.format(value))
    for name in varying:
        value = environment.parameters.get(name)
        if value and name not in {*_LABELS, "machine"}:
            parts.append(f"{name.removeprefix('env-').removeprefix('pip+')} {value}")
    return " · ".join(parts)


def varying_parameters(environments: Sequence[Environment]) -> list[str]:
    """Return the names of parameters that differ between environments of the same machine."""
    by_machine: dict[str, list[Environment]] = {}
    for environment in environments:
        if not _is_existing(environment):
            by_machine.setdefault(environment.machine, []).append(environment)
    names = {
        name
        for same in by_machine.values()
        for name in same[0].parameters
        if len({environment.parameters.get(name) for environment in same}) > 1
    }
    return sorted(names)


def _is_existing(environment: Environment) -> bool:
    """Return whether *environment* was given by the path of its Python: ``asv run -E existing:.venv/bin/python``."""
    return "/" in (environment.parameters.get("python") or "")
