"""asv.conf.json, which the rest of the project has to agree with."""

import re
import tomllib
from pathlib import Path

import pytest
from asv.config import Config
from asv.environment import iter_matrix

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def configuration():
    return Config.load(str(ROOT / "asv.conf.json"))


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_asv_installs_every_dependency_in_the_version_that_is_locked(configuration):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["quantization"]
    needed = {normalized(re.match(r"[\w.-]+", requirement)[0]) for requirement in wanted}
    pins = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "lock.txt").read_text(), re.MULTILINE)
    locked = {normalized(name): version for name, version in pins}
    pinned = {name.removeprefix("pip+"): version for name, (version,) in configuration.matrix["req"].items()}

    assert {normalized(name) for name in pinned} == needed | {"asv-runner"}
    assert {normalized(name): version for name, version in pinned.items()}.items() <= locked.items()


def test_scale_and_device_are_axes_so_that_they_never_share_a_curve(configuration):
    (combination,) = iter_matrix("virtualenv", ["3.11"], configuration)

    assert combination["env_nobuild", "ACESTEP_BENCH_SCALE"] == "tiny"
    assert combination["env_nobuild", "ACESTEP_BENCH_DEVICE"] == "cpu"


def test_what_asv_writes_stays_out_of_the_repository(configuration):
    for folder in (configuration.env_dir, configuration.results_dir, configuration.html_dir):
        assert folder.startswith(".asv/")
    assert "/.asv/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "thresholds"),
    [
        ("generate.GenerateMusic.track_time_wall(30, 1, False, 8)", []),
        ("generate.GenerateMusic.track_peak_memory(30, 1, False, 8)", [0.02]),
        ("startup.Load.track_memory('dit')", [0.02]),
        ("options.Generate.track_transfer_bytes('all', 'none', False)", []),
        ("stages.DiTStep.track_peak_memory('base', 30, 1)", [0.02]),
        ("tiers.MemoryModel.track_peak(8, 'default', 'tier')", []),
    ],
)
def test_memory_that_is_measured_has_a_wider_threshold_than_times(configuration, name, thresholds):
    matching = [float(value) for regex, value in configuration.regressions_thresholds.items() if re.match(regex, name)]

    assert matching == thresholds
