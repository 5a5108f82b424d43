"""What the environment may say."""

import pytest

from benchmarks.harness.settings import REPOSITORY, Settings, SettingsError


def test_without_anything_set_the_tiny_models_run_their_quick_cells_on_the_cpu():
    settings = Settings.from_environment({})

    assert (settings.scale, settings.device, settings.cells) == ("tiny", "cpu", "quick")
    assert (settings.commit, settings.conf_dir) == ("", str(REPOSITORY))
    assert settings.journal == str(REPOSITORY / ".asv" / "journal")


def test_asv_says_where_it_stands(tmp_path):
    environ = {"ASV_COMMIT": "abc", "ASV_ENV_NAME": "venv", "ASV_CONF_DIR": str(tmp_path)}
    settings = Settings.from_environment(environ)

    assert (settings.commit, settings.environment, settings.conf_dir) == ("abc", "venv", str(tmp_path))
    assert settings.journal == str(tmp_path / ".asv" / "journal")
    elsewhere = Settings.from_environment({**environ, "ACESTEP_BENCH_JOURNAL": "/elsewhere"})
    assert elsewhere.journal == "/elsewhere"


def test_results_are_saved_unless_asv_says_no():
    assert Settings.from_environment({}).saved
    assert not Settings.from_environment({"ACESTEP_BENCH_SAVED": "no"}).saved


def test_a_checkpoints_folder_is_a_scale(tmp_path):
    (tmp_path / "acestep-v15-turbo").mkdir()
    (tmp_path / "acestep-v15-turbo" / "config.json").touch()

    assert Settings.from_environment({"ACESTEP_BENCH_SCALE": str(tmp_path)}).scale == str(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ACESTEP_BENCH_SCALE", "huge", "give tiny, full, or the absolute path"),
        ("ACESTEP_BENCH_SCALE", "/", "is not a checkpoints folder: it has no acestep-v15-turbo/config.json"),
        ("ACESTEP_BENCH_DEVICE", "tpu", "give cpu, cuda, mps"),
        ("ACESTEP_BENCH_SAVED", "perhaps", "give yes or no"),
    ],
)
def test_what_is_unknown_is_refused_with_the_choices(variable, value, told):
    with pytest.raises(SettingsError, match=variable) as caught:
        Settings.from_environment({variable: value})
    assert told in str(caught.value)
    assert repr(value) in str(caught.value)
