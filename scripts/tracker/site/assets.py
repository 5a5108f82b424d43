"""Makes asv's own pages work without a network: npm fetches the libraries that they load from three CDNs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

NPM_TIMEOUT_S = 120
"""Longest time that npm may take, in seconds."""


class AssetsUnavailable(Exception):
    """The libraries cannot be fetched or inserted; the message is a clause that says why."""


@dataclass(frozen=True)
class Asset:
    """A file *member* of an npm package that replaces the address *replaces* in asv's ``index.html``."""

    package: str
    member: str
    replaces: str

    @property
    def name(self) -> str:
        """The name of the file in `FOLDER`."""
        return self.member.rpartition("/")[2]


_FLOT = "https://cdnjs.cloudflare.com/ajax/libs/flot/0.8.3/"
_JSDELIVR = "https://cdn.jsdelivr.net/npm/"
_CLOUDFLARE = "https://cdnjs.cloudflare.com/ajax/libs/"

ASSETS = (
    Asset("jquery@3.3.1", "dist/jquery.min.js", "https://code.jquery.com/jquery-3.3.1.min.js"),
    Asset("flot@0.8.3", "jquery.flot.js", _FLOT + "jquery.flot.min.js"),
    Asset("flot@0.8.3", "jquery.flot.time.js", _FLOT + "jquery.flot.time.min.js"),
    Asset("flot@0.8.3", "jquery.flot.selection.js", _FLOT + "jquery.flot.selection.min.js"),
    Asset("flot@0.8.3", "jquery.flot.categories.js", _FLOT + "jquery.flot.categories.min.js"),
    Asset(
        "flot-orderbars@1.0.0",
        "js/jquery.flot.orderBars.js",
        _JSDELIVR + "flot-orderbars@1.0.0/js/jquery.flot.orderBars.js",
    ),
    Asset(
        "stupid-table-plugin@1.1.3",
        "stupidtable.min.js",
        _CLOUDFLARE + "stupidtable/1.0.1/stupidtable.min.js",
    ),
    Asset("blueimp-md5@2.19.0", "js/md5.min.js", _CLOUDFLARE + "blueimp-md5/2.19.0/js/md5.min.js"),
    Asset("bootstrap@3.1.1", "dist/js/bootstrap.min.js", _JSDELIVR + "bootstrap@3.1.1/dist/js/bootstrap.min.js"),
    Asset(
        "bootstrap@3.1.1",
        "dist/css/bootstrap.min.css",
        _JSDELIVR + "bootstrap@3.1.1/dist/css/bootstrap.min.css",
    ),
)
FOLDER = "libraries"
"""Folder of the libraries beside ``index.html``."""


def cache_folder() -> Path:
    """Return the folder that keeps fetched files for the next time."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "acestep" / "asv-pages"


def make_self_contained(html_dir: Path) -> None:
    """Copy the libraries beside asv's ``index.html`` and make the page load them.

    Raises:
        AssetsUnavailable: the files cannot be fetched, or the page loads others; nothing is changed then.
    """
    index = html_dir / "index.html"
    rewritten = rewrite(index.read_text(encoding="utf-8"))
    try:
        libraries = fetched(cache_folder())
    except OSError as error:
        raise AssetsUnavailable(f"{error.filename} cannot be written ({error.strerror})") from error
    shutil.copytree(libraries, html_dir / FOLDER, dirs_exist_ok=True)
    index.write_text(rewritten, encoding="utf-8")


def rewrite(html: str) -> str:
    """Return the page with local files instead of CDN addresses, without their integrity attributes.

    Raises:
        AssetsUnavailable: the page loads another remote file.
    """
    for asset in ASSETS:
        local, address = f"{FOLDER}/{asset.name}", re.escape(asset.replaces)
        html = re.sub(rf'<script src="{address}"[^>]*>', f'<script src="{local}">', html)
        html = re.sub(
            rf'<link rel="stylesheet" href="{address}"[^>]*>', f'<link rel="stylesheet" href="{local}">', html
        )
    remote = re.search(r'<(?:script|link)[^>]*(?:src|href)="(https?://[^"]+)"', html)
    if remote:
        raise AssetsUnavailable(f"this asv also takes {remote[1]}")
    return html


def fetched(folder: Path) -> Path:
    """Return *folder* with all `ASSETS`; npm fetches them if some are missing."""
    if all((folder / asset.name).is_file() for asset in ASSETS):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        _download(Path(scratch))
        folder.mkdir(exist_ok=True)
        for asset in ASSETS:
            os.replace(Path(scratch) / asset.name, folder / asset.name)
    return folder


def _download(scratch: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise AssetsUnavailable("npm is not installed")
    packages = sorted({asset.package for asset in ASSETS})
    command = [npm, "pack", "--silent", "--fetch-retries=1", "--fetch-timeout=20000", *packages]
    try:
        subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True, timeout=NPM_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise AssetsUnavailable(f"npm did not answer within {NPM_TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        raise AssetsUnavailable(f"npm could not fetch them (exit status {error.returncode})") from error
    for asset in ASSETS:
        archive = scratch / f"{asset.package.replace('@', '-')}.tgz"
        with tarfile.open(archive) as packed:
            member = packed.extractfile(f"package/{asset.member}")
            if member is None:
                raise AssetsUnavailable(f"{asset.package} holds no file {asset.member}")
            (scratch / asset.name).write_bytes(member.read())
