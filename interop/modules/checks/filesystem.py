"""filesystem: files made and read by Python, and by the tools of the system, beside the module."""

import os
import shutil
import stat
import subprocess

from kit import INVALID, LIMIT, OUTSIDE

READS = ["filesystem_list_dir", "filesystem_read_file"]
WRITES = ["filesystem_delete_file", "filesystem_write_file"]
EXTENDED = ["append_file", "delete_dir", "make_dir", "move_file", "read_range", "search", "stat"]
TEXTS = {
    "plain": "one\ntwo\n",
    "no end of line": "one",
    "empty": "",
    "carriage returns": "a\r\nb\rc\n",
    "every script": "Grüße, мир, 世界, 👩‍🚀, ‮left\n",
    "byte order mark": "\ufeffx",
    "controls": "a\x00b\x07\x1b[31m\x7f",
    "separators": "a\u2028b\u0085c",
}


def check(world):
    base, root = world.work / "files", world.work / "files/agents/build-01"
    make_world(base, root)
    modules = {"filesystem": {"mode": "write", "config": {"base_path": str(base)}}}
    with world.gateway(modules) as gateway:
        world.listed(gateway, *READS, *WRITES)
        reads(world, gateway, root)
        writes(world, gateway, root)
        deletes(world, gateway, root)
        escapes(world, gateway, base, root)
    with world.gateway({"filesystem": {"mode": "read", "config": {"base_path": str(base)}}}) as gateway:
        world.listed(gateway, *READS)
        world.absent("a write in mode read is unknown", gateway.call("filesystem_write_file", path="x", content="x"))
    shutil.rmtree(root)
    with world.gateway(
        {"docs": {"type": "filesystem", "mode": "write", "config": {"base_path": str(base), "extended_tools": True}}}
    ) as gateway:
        extended(world, gateway, root)


def make_world(base, root):
    (root / "deep/er").mkdir(parents=True)
    (base / "agents/victim").mkdir()
    (base / "agents/victim/f").write_text("the victim's")
    (base / "outside.txt").write_text("outside")
    for name, text in TEXTS.items():
        (root / name).write_bytes(text.encode())
    (root / "latin1").write_bytes("Grüße".encode("latin-1"))
    (root / "inside").symlink_to("deep/../plain")
    (root / "way-out").symlink_to("../victim")
    (root / "absolute").symlink_to(base / "outside.txt")
    (root / "process").symlink_to("/proc/self/environ")
    os.mkfifo(root / "pipe")
    (root / "large").write_bytes(b"x" * (1 << 20))
    (root / "too-large").write_bytes(b"x" * ((1 << 20) + 1))
    subprocess.run(["tar", "cf", root / "archive.tar", "-C", root, "plain"], check=True)


def reads(world, gateway, root):
    world.gives("list_dir of the root", gateway.call("filesystem_list_dir"), sorted(os.listdir(root)))
    world.gives("list_dir of a directory", gateway.call("filesystem_list_dir", path="deep"), ["er"])
    for name, text in TEXTS.items():
        world.text(f"read_file: {name}", gateway.call("filesystem_read_file", path=name), text)
    world.text("read_file by absolute path", gateway.call("filesystem_read_file", path=str(root / "plain")), TEXTS["plain"])
    world.text("read_file through a link that stays inside", gateway.call("filesystem_read_file", path="inside"), TEXTS["plain"])
    world.text("read_file of 1 MiB", gateway.call("filesystem_read_file", path="large"), "x" * (1 << 20))
    world.refused("read_file beyond 1 MiB", gateway.call("filesystem_read_file", path="too-large"), LIMIT)
    world.refused("read_file that is not UTF-8", gateway.call("filesystem_read_file", path="latin1"), {"not_text"})
    world.refused("read_file of a directory", gateway.call("filesystem_read_file", path="deep"), {"is_directory"})
    world.refused("list_dir of a file", gateway.call("filesystem_list_dir", path="plain"), {"not_directory"})
    world.refused("read_file of nothing", gateway.call("filesystem_read_file", path="nothing"), {"not_found"})
    pipe = gateway.call("filesystem_read_file", path="pipe")
    world.refused("read_file of a pipe", pipe, {"unsupported_file"})
    world.check("a pipe is refused at once", None if pipe.seconds < 5 else f"{pipe.seconds:.1f} s")


def writes(world, gateway, root):
    for name, text in TEXTS.items():
        world.gives(f"write_file: {name}", gateway.call("filesystem_write_file", path=f"new/{name}", content=text), True)
        world.same(f"on the disk: {name}", (root / "new" / name).read_bytes(), text.encode())
    mode = stat.S_IMODE((root / "new/plain").stat().st_mode)
    world.same("a new file is the owner's", oct(mode), oct(0o600))
    world.gives("write_file replaces", gateway.call("filesystem_write_file", path="new/plain", content="other"), True)
    world.same("replaced on the disk", (root / "new/plain").read_text(), "other")
    world.same("nothing temporary stays", sorted(os.listdir(root / "new")), sorted(TEXTS))
    world.refused("write_file beyond 1 MiB", gateway.call("filesystem_write_file", path="new/big", content="x" * ((1 << 20) + 1)), LIMIT)
    world.refused("write_file onto a directory", gateway.call("filesystem_write_file", path="deep", content="x"), {"is_directory"})
    answer = gateway.call("filesystem_write_file", path="inside", content="through the link")
    world.same("write_file does not follow a link", ((root / "plain").read_bytes(), answer.error), (TEXTS["plain"].encode(), None))


def deletes(world, gateway, root):
    world.gives("delete_file", gateway.call("filesystem_delete_file", path="new/empty"), True)
    world.same("gone from the disk", (root / "new/empty").exists(), False)
    world.refused("delete_file again", gateway.call("filesystem_delete_file", path="new/empty"), {"not_found"})
    world.refused("delete_file of a directory", gateway.call("filesystem_delete_file", path="deep"), {"is_directory"})
    listed = subprocess.run(["tar", "tf", root / "archive.tar"], check=True, capture_output=True, text=True).stdout
    world.same("what others wrote is untouched", listed, "plain\n")


def escapes(world, gateway, base, root):
    names = [
        "../victim/f",
        "deep/../../victim/f",
        "nothing/../../victim/f",
        "/etc/hostname",
        str(base / "outside.txt"),
        "way-out/f",
        "absolute",
        "process",
        "./../victim/f",
        "deep/er/../../../victim/f",
        str(root) + "/../victim/f",
        str(root) + "-2/f",
    ]
    for name in names:
        shown = name.replace(str(base), "BASE")
        world.refused(f"read_file {shown}", gateway.call("filesystem_read_file", path=name), OUTSIDE)
        if name in ("absolute", "process"):
            continue  # a link of the agent's own may be replaced and deleted, but not followed
        world.refused(f"write_file {shown}", gateway.call("filesystem_write_file", path=name, content="overwritten"), OUTSIDE)
        world.refused(f"delete_file {shown}", gateway.call("filesystem_delete_file", path=name), OUTSIDE)
    world.refused("list_dir ..", gateway.call("filesystem_list_dir", path=".."), OUTSIDE)
    world.refused("list_dir way-out", gateway.call("filesystem_list_dir", path="way-out"), OUTSIDE)
    for label, name in {
        "NUL": "a\0b",
        "empty": "",
        "a long component": "x" * 256,
        "a long path": "x/" * 2049,
        "a line break": "a\nb",
    }.items():
        world.refused(f"write_file: {label}", gateway.call("filesystem_write_file", path=name, content="x"), INVALID)
    world.same("the victim's file is as it was", (base / "agents/victim/f").read_text(), "the victim's")
    world.same("the file outside is as it was", (base / "outside.txt").read_text(), "outside")
    world.same("nothing was made beside", sorted(os.listdir(base / "agents")), ["build-01", "victim"])


def extended(world, gateway, root):
    world.listed(gateway, *(name.replace("filesystem", "docs") for name in READS + WRITES), *(f"docs_{name}" for name in EXTENDED))
    world.gives("make_dir", gateway.call("docs_make_dir", path="notes"), True)
    world.gives("append_file makes a file", gateway.call("docs_append_file", path="notes/a", content="Grüße\n"), True)
    world.gives("append_file adds", gateway.call("docs_append_file", path="notes/a", content="two\n"), True)
    world.same("appended on the disk", (root / "notes/a").read_bytes(), "Grüße\ntwo\n".encode())
    world.gives("move_file", gateway.call("docs_move_file", **moved(gateway)), True)
    world.same("moved on the disk", sorted(os.listdir(root / "notes")), ["b"])
    facts = gateway.call("docs_stat", path="notes/b").structured or {}
    world.same("stat", (facts.get("kind"), facts.get("bytes")), ("file", (root / "notes/b").stat().st_size))
    part = gateway.call("docs_read_range", path="notes/b", offset=8, length=100).structured or {}
    world.same("read_range", part.get("content"), "\ntwo\n" if part.get("offset") == 7 else "two\n")
    found = (gateway.call("docs_search", text="Grüße").structured or {}).get("matches")
    world.same("search", found, [{"path": "notes/b", "line": 1, "content": "Grüße"}])
    world.check("delete_dir of a full one is refused", None if gateway.call("docs_delete_dir", path="notes").is_error else "it was not")
    gateway.call("docs_delete_file", path="notes/b")
    world.gives("delete_dir", gateway.call("docs_delete_dir", path="notes"), True)
    world.same("the disk is empty", os.listdir(root), [])
    for name, arguments in {"stat": {}, "search": {}, "delete_dir": {}, "make_dir": {}, "append_file": {"content": "x"}}.items():
        world.refused(f"{name} outside", gateway.call(f"docs_{name}", path="../victim", **arguments), OUTSIDE)
    world.same("the victim's file is still as it was", (root.parent / "victim/f").read_text(), "the victim's")


def moved(gateway):
    source, target = list(gateway.tools["docs_move_file"]["inputSchema"]["required"])
    return {source: "notes/a", target: "notes/b"}
