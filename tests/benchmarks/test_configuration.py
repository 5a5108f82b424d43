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
    ("name", "threshold"),
    [
        ("generate.GenerateMusic.track_wall(30, 1, False, 8)", 0.1),
        ("generate.GenerateMusic.track_peak_memory(30, 1, False, 8)", 0.02),
        ("generate.GenerateMusic.track_tokens(30, 1, True, 8)", 0.0001),
        ("generate.GenerateMusic.track_forwards(30, 1, True, 8)", 0.0001),
        ("generate.GenerateMusic.track_operators(30, 1, True, 8)", 0.0001),
        ("generate.GenerateMusic.track_allocated_bytes(30, 1, True, 8)", 0.0001),
        ("stages.DiTStep.track_flop('base', 30, 1)", 0.0001),
        ("planner.ChainOfThought.track_s_per_token('pt', True, True)", 0.1),
        ("planner.ChainOfThought.track_tokens('pt', True, True)", 0.0001),
        ("planner.Constraint.track_chosen_tokens('nothing', True)", 0.0001),
        ("apis.Understand.track_forwards('pt', True, 30)", 0.0001),
        ("startup.Load.track_memory('dit')", 0.02),
        ("tasks.Types.track_source_encode('cover', False)", 0.1),
        ("tasks.FromCodes.track_fingerprint('cover')", 0.0001),
        ("options.Generate.track_transfer('all', 'none', False)", 0.1),
        ("options.Generate.track_transfers('all', 'none', False)", 0.0001),
        ("options.Generate.track_transfer_bytes('all', 'none', False)", 0.0001),
        ("options.Generate.track_weight_bytes('all', 'none', False)", 0.0001),
        ("options.Generate.track_plain_layers('none', 'int8_weight_only', False)", 0.0001),
        ("options.Generate.track_graphs('none', 'none', True)", 0.0001),
        ("stages.VAEWindows.track_extra_work(30, 128, 1)", 0.0001),
        ("stages.DiTStep.track_peak_memory('base', 30, 1)", 0.02),
        ("footprint.Shapes.track_peak('turbo', 'plain', 30, 1)", 0.0001),
        ("tiers.MemoryModel.track_peak(8, 'default', 'tier')", 0.0001),
        ("tiers.Resolve.track_max_batch(8)", 0.0001),
    ],
)
def test_numbers_that_do_not_jitter_have_narrow_thresholds(configuration, name, threshold):
    matching = [float(value) for regex, value in configuration.regressions_thresholds.items() if re.match(regex, name)]

    assert matching == [threshold]


def test_a_distance_near_nothing_which_has_no_ratio_is_no_regression(configuration):
    (regex,) = configuration.regressions_first_commits

    assert configuration.regressions_first_commits[regex] is None
    assert re.match(regex, "generate.GenerateMusic.track_distance(30, 1, True, 8)")
    assert not re.match(regex, "generate.GenerateMusic.track_operators(30, 1, True, 8)")
