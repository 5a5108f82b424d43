"""Builds commits in asv's environment, each into a folder of its own, so that two can run at the same time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv.environment import get_environments
from asv.plugin_manager import plugin_manager
from asv.repo import get_repo
from asv.util import ProcessError, UserError

from benchmarks.harness.process import Installed
from benchmarks.harness.settings import Settings
from scripts.tracker import configuration
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.refusal import RefusalError

LOCK = Path(__file__).resolve().parents[3] / "lock.txt"
"""The versions of all requirements that were tested together; asv's environment installs them. pip gets the file as a
URL, because it splits PIP_CONSTRAINT at spaces, which a path can contain."""
_SIDES_FOLDER = "sides"
"""Folder in asv's environment with one folder for each built commit."""
_INSTALL = [
    "in-dir={env_dir} python -m pip install --quiet --no-deps --upgrade --target {env_dir}/"
    + _SIDES_FOLDER
    + "/{commit} {wheel_file}"
]
"""asv's install command. It installs each commit into its own folder, from which a worker imports it."""


@dataclass(frozen=True)
class BuildEnvironment:
    """asv's configuration, its repository, and the environment in which commits are built and measured."""

    conf: Any
    repo: Any
    environment: Any

    @classmethod
    def open(cls, config: Path, scale: str, device: str) -> BuildEnvironment:
        """Read asv's configuration, change to its folder, and choose its first environment.

        Raises:
            RefusalError: the file does not exist, or none of its environments can be created here.
            SettingsError: there is no such scale or device.
        """
        Settings.from_environment({"ACESTEP_BENCH_SCALE": scale, "ACESTEP_BENCH_DEVICE": device})
        conf = configuration.load(config)
        os.environ.setdefault("PIP_CONSTRAINT", LOCK.as_uri())
        try:
            for plugin in conf.plugins:
                plugin_manager.import_plugin(plugin)
            conf.install_command = _INSTALL
            conf.matrix["env_nobuild"] = {
                **conf.matrix.get("env_nobuild", {}),
                "ACESTEP_BENCH_SCALE": [scale],
                "ACESTEP_BENCH_DEVICE": [device],
            }
            environments = list(get_environments(conf, None))
            if not environments:
                raise RefusalError(f"No environment that {config} asks for can be made on this machine.")
            return cls(conf, get_repo(conf), environments[0])
        except ImportError as error:
            raise RefusalError(f"{config} names a plugin that cannot be imported: {error}") from error
        except UserError as error:
            raise RefusalError(f"{config}: {error}") from error

    def build(self, revision: Revision) -> Installed:
        """Return where *revision* is installed, after building it unless that was done before.

        Raises:
            RefusalError: asv could not build or install it.
        """
        folder = Path(self.environment._path, _SIDES_FOLDER, revision.hash)
        try:
            self.environment.create()
            if not (folder / "acestep").is_dir():
                self.environment._set_installed_commit_hash(None)
                self.environment.install_project(self.conf, self.repo, revision.hash)
        except ProcessError as error:
            raise RefusalError(
                f"{revision.label} could not be built: {error}. {failure_text(error)}".rstrip()
            ) from error
        except UserError as error:
            raise RefusalError(f"{revision.label} could not be built: {error}") from error
        return Installed(self.environment.find_executable("python"), folder)


def failure_text(error: ProcessError) -> str:
    """Return the lines of a failed program's output that begin with "error" or "fatal", or else its last line."""
    lines = [line.strip() for line in f"{error.stdout}\n{error.stderr}".splitlines() if line.strip()]
    named = [line for line in lines if line.lower().startswith(("error", "fatal"))]
    return " ".join(named or lines[-1:])
