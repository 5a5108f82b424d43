"""What a wheel installs: the package and the profiler, and no name that other projects may have, too."""

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("acestep", "benchmarks", "scripts", "pyproject.toml", "setup.py", "README.md", "LICENSE")


def pip(*arguments, cwd):
    """Run pip, which installs nothing into the environment of the tests and asks no network."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as asv builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", folder, source, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of an environment with the wheel; of the repository it sees nothing else."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    behind = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "behind.pth").write_text("\n".join(sorted(behind)))  # its own .pth files are not read
    pip("--python", folder / "bin" / "python", "install", "--no-index", "--no-deps", wheel, cwd=folder)
    return folder


def run(installed, *command, status=0):
    """Run a program of the environment far from the repository; return what it prints."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    program, *arguments = command
    done = subprocess.run(
        [installed / "bin" / program, *arguments],
        cwd=installed,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_top_level_names_are_the_project_s_own(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.partition("/")[0] for name in names} == {
        "acestep",
        "acestep_profiler",
        "acestep-0.1.0.dist-info",
    }


def test_every_module_and_data_file_of_the_package_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "acestep").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert files <= names
    assert "acestep/py.typed" in files
    assert "acestep/examples/text2music/example_05.json" in files


def test_the_profiler_brings_no_command_that_needs_the_repository(wheel):
    profiler = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("acestep_profiler/")}

    assert "acestep_profiler/scripts/profile_inference.py" in profiler
    assert not {
        name for name in profiler if name.endswith(("compare.py", "track.py", "asv_plugin.py", "generate.py"))
    } - {"acestep_profiler/benchmarks/harness/workloads/generate.py"}


def test_the_environment_sees_the_wheel_alone(installed):
    found = "print(acestep.__file__, find_spec('scripts'), find_spec('benchmarks'))"
    file, *others = run(
        installed, "python", "-c", f"import acestep; from importlib.util import find_spec; {found}"
    ).split()

    assert Path(file).is_relative_to(installed)
    assert others == ["None", "None"]


def test_the_installed_profiler_shows_its_options(installed):
    assert "--benchmark-output FILE" in run(installed, "acestep-profile", "--help")


def test_the_installed_profiler_measures(installed, tmp_path):
    output = tmp_path / "results.json"
    options = ("--scale", "tiny", "--duration", "10", "--no-warmup", "--benchmark-output", str(output))
    run(installed, "acestep-profile", *options)
    found = json.loads(output.read_text())

    assert found["complete"]
    assert [result["status"] for result in found["results"]] == ["ok"]


def test_whatever_a_mode_imports_is_in_the_wheel(installed):
    modules = sorted(set(imported_by_the_profiler()))
    imports = f"import importlib; found = [importlib.import_module(name) for name in {modules!r}]"
    code = (
        f"import sys, acestep_profiler; sys.path.insert(0, str(acestep_profiler._ROOT)); {imports}; print(len(found))"
    )

    assert "benchmarks.harness.meta_footprint" in modules
    assert run(installed, "python", "-c", code).strip() == str(len(modules))


def imported_by_the_profiler():
    """Return the modules that the profiler imports anywhere, within functions too."""
    for path in (ROOT / "scripts" / "profile_inference.py", *(ROOT / "scripts" / "tracker" / "profiling").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("acestep", "benchmarks", "scripts")):
                yield node.module
