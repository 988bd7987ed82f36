"""Download an sdist from the package index that the user has chosen: fetch_source.py REQUIREMENT FOLDER.

unearth reads neither pip's nor uv's settings, so they are passed on here: whoever can install OSThread
through a mirror gets LuaJIT's source through it too. The caller checks the hash.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

INDEX = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
EXTRA_INDEX = ("PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


def pip_settings() -> dict[str, str]:
    """What pip's configuration files say; nothing where there is no pip."""
    # PYTHONPATH hides pip itself in its isolated build environment, PIP_QUIET hides the answer.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PIP_QUIET")}
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, env=environment, capture_output=True, text=True)
    return dict(re.findall(r"^(?:global|install|download)\.([\w-]+)='(.*)'$", listing.stdout, re.MULTILINE))


def setting(variables: tuple[str, ...], fallback: str) -> list[str]:
    """The words of the first variable that is set, without the names that uv allows (`name=https://...`)."""
    text = next(filter(None, map(os.environ.get, variables)), fallback)
    return [re.sub(r"^[\w.-]+=(?=\w+:)", "", word) for word in text.replace("\\n", " ").split()]


def download(requirement: str, folder: str) -> str:
    """Try each index in turn; return the last complaint, empty after success."""
    pip = pip_settings()
    index = setting(INDEX, pip.get("index-url", ""))
    extra = setting(EXTRA_INDEX, pip.get("extra-index-url", ""))
    trusted = setting(("PIP_TRUSTED_HOST", "UV_INSECURE_HOST"), pip.get("trusted-host", ""))
    certificates = setting(("SSL_CERT_FILE", "PIP_CERT"), pip.get("cert", ""))

    command = [sys.executable, "-m", "unearth", requirement, "--no-binary", "--download", folder]
    command += [word for host in trusted for word in ("--trusted-host", host)]
    environment = os.environ | ({"SSL_CERT_FILE": certificates[0]} if certificates else {})
    complaint = ""
    for url in [*(index or [""]), *extra]:  # "" is unearth's default index
        chosen = ["--index-url", url] if url else []
        run = subprocess.run(command + chosen, env=environment, capture_output=True, text=True)
        if run.returncode == 0:
            return ""
        complaint = complaint or (run.stderr.strip().splitlines() or ["unearth failed"])[-1]
    return complaint


if __name__ == "__main__":
    sys.exit(download(*sys.argv[1:]) or None)
