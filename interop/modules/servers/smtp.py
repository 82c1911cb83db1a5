"""Exim (Debian package exim4-daemon-light) as an SMTP server on loopback, with STARTTLS and AUTH, which keeps what it gets as files.

It runs from an unpacked package with a configuration of its own. Exim insists on a user `Debian-exim`: nss_wrapper makes it see one.

    python3 servers/smtp.py            starts one, prints where it is
"""

import collections
import contextlib
import os
import pathlib
import socket
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[2])]
import install
from servers import certificate
from upstreams import free_port, process, wait_until

PACKAGES = ("exim4-daemon-light", "exim4-base", "libidn12", "libnss-wrapper")
NOBODY = 65534
MAIL_SECONDS = 20

CONFIG = """
primary_hostname = mail.test
exim_user = Debian-exim
exim_group = Debian-exim
keep_environment =
spool_directory = {work}/spool
log_file_path = {work}/log/%slog
pid_file_path = {work}/pid
log_selector = +all
local_interfaces = 127.0.0.1
daemon_smtp_ports = {ports}
tls_on_connect_ports = {implicit}
host_lookup =
rfc1413_query_timeout = 0s
smtp_enforce_sync = true
message_size_limit = 10M
tls_certificate = {certificate}
tls_privatekey = {key}
tls_advertise_hosts = ${{if eq{{$received_port}}{{{bare}}}{{}}{{*}}}}
auth_advertise_hosts = ${{if or{{{{def:tls_in_cipher}}{{eq{{$received_port}}{{{bare}}}}}}}{{*}}{{}}}}
acl_smtp_rcpt = rcpt
acl_smtp_data = data
deliver_drop_privilege = true
begin acl
rcpt:
  accept authenticated = *
  accept condition = ${{if eq{{$received_port}}{{{bare}}}}}
         condition = {bare_open}
  deny message = authenticate first
data:
  accept
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = {work}/mail
  maildir_format
  user = Debian-exim
  group = Debian-exim
  envelope_to_add
  return_path_add
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
begin retry
"""

# `port` offers STARTTLS, and AUTH under TLS only; `implicit` is TLS from the first byte; `bare` has no TLS and offers AUTH in the clear.
Running = collections.namedtuple("Running", "port implicit bare user password certificate work")


def fetch(cache):
    return install.debian(cache, "modules-smtp", *PACKAGES)


def prepare(work, config):
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    for name in ("spool", "log", "mail"):
        (work / name).mkdir()
    (work / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\nDebian-exim:x:{uid}:{uid}::{work}:/bin/false\n")
    (work / "group").write_text(f"root:x:0:\nDebian-exim:x:{uid}:\n")
    (work / "exim.conf").write_text(config)
    if os.geteuid() == 0:
        work.chmod(0o755)
        for path in [work, *work.rglob("*")]:
            os.chown(path, uid, uid)
        os.chown(work / "exim.conf", 0, 0)  # Exim reads no configuration that others could write


def environment(root, work):
    libraries = next(root.glob("usr/lib/*/libnss_wrapper.so")).parent
    return {
        "PATH": os.environ["PATH"],
        "LD_LIBRARY_PATH": str(libraries),
        "LD_PRELOAD": str(libraries / "libnss_wrapper.so"),
        "NSS_WRAPPER_PASSWD": str(work / "passwd"),
        "NSS_WRAPPER_GROUP": str(work / "group"),
    }


@contextlib.contextmanager
def started(cache, user, password, bare_open=False):
    """`bare_open`: the port without TLS takes mail from anybody."""
    root = fetch(cache)
    # A folder of its own: the user that Exim delivers as must be able to reach it.
    with tempfile.TemporaryDirectory(prefix="bailiwick-exim-") as folder:
        work = pathlib.Path(folder)
        cert, key = certificate.localhost(work)
        port, implicit, bare = free_port(), free_port(), free_port()
        config = CONFIG.format(
            work=work,
            ports=f"{port} : {implicit} : {bare}",
            implicit=implicit,
            bare=bare,
            certificate=cert,
            key=key,
            user=user,
            password=password,
            bare_open="yes" if bare_open else "no",
        )
        prepare(work, config)
        log = work / "exim.out"
        with process([root / "usr/sbin/exim4", "-C", work / "exim.conf", "-bdf"], log, environment(root, work), work) as child:
            for each in (port, bare):
                wait_until(lambda: greeting(each).startswith(b"220"), child, "exim", log)
            yield Running(port, implicit, bare, user, password, cert, work)


def greeting(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        line = connection.recv(1000)
        connection.sendall(b"QUIT\r\n")
        return line


def mails(running, number=0):
    """What was delivered, as bytes, oldest first; waits for `number` of them."""
    end = time.monotonic() + MAIL_SECONDS
    while True:
        files = sorted((running.work / "mail/new").glob("*"), key=lambda file: file.stat().st_mtime_ns)
        if len(files) >= number or time.monotonic() > end:
            return [file.read_bytes() for file in files]
        time.sleep(0.02)


def log(running):
    file = running.work / "log/mainlog"
    return file.read_text(errors="replace") if file.exists() else ""


if __name__ == "__main__":
    with started(install.default_cache(), "agent@mail.test", "sesame") as running:
        print(running, flush=True)
        sys.stdin.read()
