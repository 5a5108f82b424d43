"""Which package may import which, and that no modules import each other in a circle.

Imports inside functions count as well: a module that needs another one depends on it, whenever it asks.
"""

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

PACKAGES = ("acestep", "benchmarks", "scripts")
MAY_NOT_IMPORT = {
    "acestep": ("benchmarks", "scripts"),
    "benchmarks": ("scripts",),
    "scripts.tracker.statistics": ("scripts.tracker.history", "scripts.tracker.comparison", "scripts.tracker.site"),
    "scripts.tracker.history": ("scripts.tracker.comparison", "scripts.tracker.site"),
    "scripts.tracker.comparison": ("scripts.tracker.site",),
    "scripts.tracker.validation": ("scripts.tracker.site",),
    "scripts.tracker.running": ("scripts.tracker.history", "scripts.tracker.comparison", "scripts.tracker.site"),
    "scripts.tracker": (
        *("scripts.bisect", "scripts.compare", "scripts.meanings", "scripts.profile_inference", "scripts.reference"),
        *("scripts.regressions", "scripts.track", "scripts.validate", "scripts.versus"),
    ),
}
"""For each package, those that none of its modules may import, not even through others."""


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


@pytest.mark.parametrize(("package", "forbidden"), [(a, b) for a, several in MAY_NOT_IMPORT.items() for b in several])
def test_imports_point_one_way(imports: grimp.ImportGraph, package: str, forbidden: str) -> None:
    assert package in imports.modules
    assert forbidden in imports.modules
    chains = imports.find_shortest_chains(package, forbidden, as_packages=True)
    assert not chains, [" -> ".join(chain) for chain in chains]


def test_no_modules_import_each_other_in_a_circle(imports: grimp.ImportGraph) -> None:
    modules = {module: imports.find_modules_directly_imported_by(module) for module in imports.modules}
    try:
        TopologicalSorter(modules).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_benchmarks_reach_the_measured_package_through_adapters_alone(imports: grimp.ImportGraph) -> None:
    measured = imports.find_matching_direct_imports("benchmarks.** -> acestep.**")
    outside = [found for found in measured if not found["importer"].startswith("benchmarks.harness.adapters")]
    assert outside == []
