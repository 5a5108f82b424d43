"""Packages of the wheel: `acestep`, and `acestep_profiler`, which holds what the profiler needs of the repository.

The profiler imports `scripts` and `benchmarks`. The wheel contains the needed part of both below `acestep_profiler`,
so that no top-level package of theirs is installed. Everything else about the package stands in ``pyproject.toml``.
"""

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

PROFILER = "acestep_profiler"
FOLDERS = {
    PROFILER: "scripts/acestep_profiler",
    f"{PROFILER}.scripts": "scripts",
    f"{PROFILER}.scripts.tracker": "scripts/tracker",
    f"{PROFILER}.scripts.tracker.profiling": "scripts/tracker/profiling",
    f"{PROFILER}.benchmarks": "benchmarks",
    f"{PROFILER}.benchmarks.harness": "benchmarks/harness",
    **{
        f"{PROFILER}.benchmarks.harness.{name}": f"benchmarks/harness/{name.replace('.', '/')}"
        for name in find_packages("benchmarks/harness", exclude=["frozen", "frozen.*"])
    },
}
"""Packages of the profiler, and the folders that they are copied from."""
MODULES = {
    f"{PROFILER}.scripts": {"__init__", "profile_inference"},
    f"{PROFILER}.scripts.tracker": {"__init__", "git", "progress", "refusal"},
    f"{PROFILER}.benchmarks": {"__init__"},
}
"""Modules that are copied of a package; of the other packages all are."""


class BuildPackages(build_py):
    """Leaves out the modules that the profiler does not need."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return (package, module, file) of each module of *package* that goes into the wheel."""
        modules = super().find_package_modules(package, package_dir)
        return [found for found in modules if package not in MODULES or found[1] in MODULES[package]]


setup(
    packages=[*find_packages(include=["acestep", "acestep.*"]), *FOLDERS],
    package_dir=FOLDERS,
    cmdclass={"build_py": BuildPackages},
)
