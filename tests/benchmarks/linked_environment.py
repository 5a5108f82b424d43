"""A plugin of asv: virtual environments that see the packages of the interpreter that asv runs in.

Each commit is still built and installed as asv always does, into an environment of its own, which comes first;
only the dependencies are not installed once more. Nothing is downloaded.
"""

import sysconfig
from pathlib import Path

from asv.plugins.virtualenv import Virtualenv


class LinkedVirtualenv(Virtualenv):
    """Environment type `linked`."""

    tool_name = "linked"

    def _install_requirements(self):
        """Put the packages of asv's own interpreter behind those of the environment."""
        folder = self.run(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], dots=False).strip()
        places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        Path(folder, "behind.pth").write_text("\n".join(sorted(places)))
