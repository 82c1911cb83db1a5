#!/usr/bin/env python3
"""The examples of scoped-mcp, from its release on PyPI, into the interop cache. Standard library and pip.

    seed.py    fetches them unless they are there; prints their folder

A test of the gateway plays the manifests among them as they stand. They are not part of this repository.
"""

import hashlib
import pathlib
import sys
import tarfile
import tempfile

import install

VERSION = "1.19.1"
SHA256 = "61291c7279bf1cd96bac3e00551b0f845b2c7b9589475cf03cda5198292545e8"


def download(folder):
    """pip looks at what it downloads, for which it needs a build environment; that is why it is given one of its own."""
    install.run(sys.executable, "-m", "venv", folder / "venv")
    pip = (folder / "venv/bin/pip", "download", "--quiet", "--disable-pip-version-check")
    install.run(*pip, f"scoped-mcp=={VERSION}", "--no-binary", "scoped-mcp", "--no-deps", "--dest", folder)
    return folder / f"scoped_mcp-{VERSION}.tar.gz"


def unpack(archive, folder):
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        raise install.Missing(f"scoped-mcp {VERSION} as it was when this was written; PyPI has another file")
    inner = f"scoped_mcp-{VERSION}/"
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile() and member.name.startswith(inner + "examples/") and ".." not in member.name:
                path = folder / member.name.removeprefix(inner)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tar.extractfile(member).read())


def fetch(cache):
    examples = cache / f"scoped-mcp-{VERSION}/examples"
    if not examples.is_dir():
        examples.parent.mkdir(parents=True, exist_ok=True)
        # Complete or not at all: the folder comes into being by its name.
        with tempfile.TemporaryDirectory(dir=examples.parent) as place:
            place = pathlib.Path(place)
            unpack(download(place), place)
            (place / "examples").rename(examples)
    return examples


def main():
    try:
        print(fetch(install.default_cache()))
    except Exception as error:
        sys.exit(f"needs scoped-mcp {VERSION} from PyPI ({install.reason(error)})")


if __name__ == "__main__":
    main()
