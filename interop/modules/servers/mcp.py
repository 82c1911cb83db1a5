"""Published MCP servers (npm: server-everything, server-filesystem), in the versions of ../clients/package-lock.json.

python3 servers/mcp.py             starts server-everything over HTTP, prints where it is
"""

import contextlib
import filecmp
import os
import pathlib
import shutil
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[2])]
import install
from upstreams import free_port, http_status, process, wait_until

LOCKED = pathlib.Path(__file__).resolve().parents[2] / "clients"


def fetch(cache):
    """The folder of their programs; the one that `../run.sh` installed when it is there."""
    node = cache / "node"
    if (node / "complete").is_file() and filecmp.cmp(LOCKED / "package-lock.json", node / "package-lock.json", shallow=False):
        return node / "node_modules/.bin"

    def make(folder):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKED / name, folder)
        install.run(install.program("npm"), "ci", "--no-audit", "--no-fund", cwd=folder)

    return install.once(cache / "modules-mcp", "server-everything and server-filesystem from npm", make) / "node_modules/.bin"


@contextlib.contextmanager
def started(cache, work):
    """server-everything over Streamable HTTP; gives its URL."""
    bin_dir, port, log = fetch(cache), free_port(), work / "everything.log"
    env = {"PATH": os.environ["PATH"], "HOME": str(work), "PORT": str(port)}
    with process([bin_dir / "mcp-server-everything", "streamableHttp"], log, env, work) as child:
        wait_until(lambda: http_status(port, "/mcp") > 0, child, "server-everything", log)
        yield f"http://127.0.0.1:{port}/mcp"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, started(install.default_cache(), pathlib.Path(folder)) as running:
        print(running, flush=True)
        sys.stdin.read()
