"""The adapter of the measured package: what it finds, what it calls missing, and what it calls broken."""

import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest

from acestep import probe as acestep_probe
from benchmarks.harness.adapters import package, probe
from benchmarks.harness.adapters.lookup import attribute, find, find_first, require_keywords
from benchmarks.harness.adapters.ours import MODULES, PROBE_VERSIONS, PUBLIC
from benchmarks.harness.adapters.ours.before_probe import BEFORE_PROBE
from benchmarks.harness.workload import CellFailed, Unsupported

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PROBE_FUNCTIONS = {
    name: function
    for name, function in vars(acestep_probe).items()
    if inspect.isfunction(function) and function.__module__ == "acestep.probe"
}


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """The folder of a package `measured`, whose files a test writes."""
    folder = tmp_path / "measured"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "measured"]:
        del sys.modules[name]


@pytest.mark.usefixtures("measured")
def test_a_module_or_its_parent_that_never_existed_is_unsupported():
    for module in ("measured.nowhere", "measured.no.where"):
        with pytest.raises(Unsupported, match=r"no module measured\.no"):
            find(f"{module}:name")


def test_a_module_that_fails_to_import_another_of_its_package_is_a_failure(measured):
    (measured / "handler.py").write_text("from measured.clocks import now\n")
    with pytest.raises(ModuleNotFoundError, match=r"measured\.clocks"):
        find("measured.handler:name")


def test_a_package_whose_own_code_fails_to_import_the_very_module_is_a_failure(measured):
    (measured / "planner").mkdir()
    (measured / "planner" / "__init__.py").write_text("import measured.planner.engine\n")
    with pytest.raises(ModuleNotFoundError, match=r"measured\.planner\.engine"):
        find("measured.planner.engine:name")


@pytest.mark.usefixtures("measured")
def test_a_module_of_another_installation_is_not_one_of_the_package(tmp_path, monkeypatch):
    import measured

    other = tmp_path / "installed" / "measured"
    other.mkdir(parents=True)
    (other / "probe.py").touch()
    spec = importlib.util.spec_from_file_location("measured.probe", other / "probe.py")
    monkeypatch.setitem(sys.modules, "measured.probe", importlib.util.module_from_spec(spec))

    assert find("measured") is measured
    with pytest.raises(Unsupported, match=r"no module measured\.probe"):
        find("measured.probe")


def test_a_package_that_is_not_installed_is_a_failure():
    with pytest.raises(ModuleNotFoundError, match="measured"):
        find("measured.handler:name")


def test_a_dependency_that_is_missing_is_a_failure():
    with pytest.raises(ModuleNotFoundError):
        find("not_a_package_at_all:name")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("acestep.not_yet:anything", "no module acestep.not_yet"),
        ("acestep.inference:not_yet", "acestep.inference has no not_yet"),
    ],
)
def test_what_a_commit_does_not_have_is_unsupported(place, reason):
    with pytest.raises(Unsupported, match=re.escape(reason)):
        find(place)


def test_the_first_place_that_exists_is_taken_and_the_first_that_does_not_is_named():
    assert find_first("acestep.not_yet:join", "acestep.inference:not_yet", "os.path:join") is find("os.path:join")
    with pytest.raises(Unsupported, match=r"no module acestep\.not_yet"):
        find_first("acestep.not_yet:join", "acestep.inference:not_yet")


def test_attributes_and_keywords_that_a_commit_does_not_have_are_unsupported():
    def decode(latents, tiled=True):
        return latents, tiled

    require_keywords(decode, "tiled")
    with pytest.raises(Unsupported, match="decode does not take overlap"):
        require_keywords(decode, "tiled", "overlap")
    with pytest.raises(Unsupported, match="decode has no not_yet"):
        attribute(decode, "not_yet")


def test_a_property_that_fails_is_not_a_missing_name():
    class Handler:
        @property
        def planner(self):
            return self.engine  # which nobody has set

    with pytest.raises(AttributeError, match="engine"):
        attribute(Handler(), "planner")


def test_every_function_of_the_probe_is_known_at_older_commits():
    assert PROBE_FUNCTIONS.keys() == BEFORE_PROBE.keys()
    assert all(function.__doc__ for function in PROBE_FUNCTIONS.values())


def test_the_probe_is_that_of_the_commit():
    assert acestep_probe.PROBE_VERSION in PROBE_VERSIONS
    assert {name: getattr(probe, name) for name in PROBE_FUNCTIONS} == PROBE_FUNCTIONS


def test_every_public_name_and_module_exists():
    assert [package.public(name) for name in PUBLIC]
    assert [package.modules(target) for target in MODULES] == [*MODULES.values()]


def test_a_function_that_the_probe_of_a_commit_lacks_is_unsupported(monkeypatch):
    monkeypatch.delattr(acestep_probe, "encode_audio")

    with pytest.raises(Unsupported, match=r"acestep\.probe has no encode_audio"):
        package.stage("encode_audio")


def test_a_probe_that_the_benchmarks_do_not_know_is_a_failure(monkeypatch):
    monkeypatch.setattr(acestep_probe, "PROBE_VERSION", 99)

    with pytest.raises(CellFailed, match="version 99"):
        package.stage("encode_audio")


def test_only_the_adapter_names_modules_of_the_package():
    pattern = re.compile(r"\bacestep\.[a-z_]+|\b(import|from) acestep\b")
    naming = {
        path.relative_to(BENCHMARKS).parts[:2]
        for path in BENCHMARKS.rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8").replace(".cache/acestep", ""))
    }

    assert naming == {("harness", "adapters")}
