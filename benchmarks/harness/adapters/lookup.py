"""Finds names in the package under measurement, and tells what a commit lacks from what is broken in it."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.harness.workload import Unsupported


def find(place: str) -> Any:
    """Return what *place* names: a module, or an attribute of one, as in ``acestep.inference:generate_music``.

    Raises Unsupported if the package has no such module or attribute. A package that is not installed, a missing
    dependency, and a module of the package that its own code fails to import are failures: their ModuleNotFoundError
    passes.
    """
    module, _, name = place.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not _lacks(module, error):
            raise
        raise Unsupported(f"this commit has no module {error.name}") from error
    if not _belongs(found):
        raise Unsupported(f"this commit has no module {module}")
    return attribute(found, name) if name else found


def find_first(*places: str) -> Any:
    """Return what the first of *places* that exists names; raises Unsupported, as for the first, if none exists."""
    missing: list[Unsupported] = []
    for place in places:
        try:
            return find(place)
        except Unsupported as error:
            missing.append(error)
    raise missing[0]


def attribute(owner: object, name: str) -> Any:
    """Return the attribute *name* of *owner*; raises Unsupported if the commit does not have it."""
    try:
        return getattr(owner, name)
    except AttributeError as error:
        if error.obj is not None and (error.obj is not owner or error.name != name):
            raise  # the attribute is a property, and computing it failed
        label = getattr(owner, "__name__", type(owner).__name__)
        raise Unsupported(f"{label} has no {name} at this commit") from error


def require_keywords(function: Callable[..., Any], *keywords: str) -> None:
    """Raise Unsupported if *function* does not take one of *keywords*."""
    accepted = inspect.signature(function).parameters
    missing = [keyword for keyword in keywords if keyword not in accepted]
    if missing:
        raise Unsupported(f"{function.__name__} does not take {', '.join(missing)} at this commit")


def _belongs(module: ModuleType) -> bool:
    """Return whether *module* lies in the folder of its top package.

    In an environment with an editable installation, a module that the package on the import path lacks is found in the
    installed package, which is another commit's.
    """
    folders = getattr(sys.modules[module.__name__.partition(".")[0]], "__path__", None)
    file = getattr(module, "__file__", None)
    return folders is None or file is None or any(Path(file).is_relative_to(folder) for folder in folders)


def _lacks(module: str, error: ModuleNotFoundError) -> bool:
    """Return whether *error* says that *module* itself, or a parent package below the top one, does not exist."""
    package = module.partition(".")[0]
    missing = error.name or ""
    if missing == package or not f"{module}.".startswith(f"{missing}."):
        return False
    asking = {frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)}
    return not any(name == package or name.startswith(f"{package}.") for name in asking)
