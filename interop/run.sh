#!/bin/sh
# Checks Bailiwick against published MCP clients and servers.
#
#   interop/run.sh              clients and upstreams
#   interop/run.sh clients      `bailiwick run` over stdio against the official SDK clients
#   interop/run.sh upstreams    `bailiwick serve` in front of published servers
#   interop/run.sh proof        the clients alone against a published server, without Bailiwick
#   interop/run.sh matrix       every client against every server through `bailiwick serve`, in every feature; arguments of matrix/run.py
#   interop/run.sh matrix --direct   the same without Bailiwick
#
# BAILIWICK                the program; built from this tree when unset
# BAILIWICK_INTEROP_CACHE  where the SDKs are installed (default: ~/.cache/bailiwick/interop)
# Needs python3 with venv, node 20 or newer with npm, cargo. Exit code 0 only when every check passed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${BAILIWICK_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiwick/interop}
mkdir -p "$cache"
log=$cache/install.log
: > "$log"

# Whether the gateway is left out.
direct() { case " $* " in *" --direct "*) true ;; *) false ;; esac }
fail() { echo "interop: $1" >&2; tail -n 15 "$log" >&2; exit 1; }

for version in 2.3.0 1.30.0; do
    venv=$cache/python-$version
    if [ ! -f "$venv/complete" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv" >> "$log" 2>&1 || fail "python3 -m venv failed"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "mcp==$version" >> "$log" 2>&1 || fail "pip install mcp==$version failed"
        touch "$venv/complete"
    fi
done

node=$cache/node
mkdir -p "$node"
if ! cmp -s "$here/clients/package-lock.json" "$node/package-lock.json" || [ ! -f "$node/complete" ]; then
    rm -f "$node/complete"
    cp "$here/clients/package.json" "$here/clients/package-lock.json" "$node/"
    (cd "$node" && npm ci --no-audit --no-fund) >> "$log" 2>&1 || fail "npm ci failed"
    touch "$node/complete"
fi
# Modules are looked up from the place of the importing file.
mkdir -p "$node/matrix"
cp "$here"/clients/*.mjs "$node/"
cp "$here"/matrix/clients/*.mjs "$node/matrix/"

if [ "${1:-}" = matrix ]; then
    programs=$here/matrix/rmcp build=$cache/matrix-rmcp
else
    programs=$here/clients/rmcp build=$cache/rmcp
fi
(cd "$programs" && CARGO_TARGET_DIR="$build" cargo build --quiet --locked) >> "$log" 2>&1 || fail "cargo build in $programs failed"

if [ -z "${BAILIWICK:-}" ] && [ "${1:-}" != proof ] && ! direct "$@"; then
    target=${CARGO_TARGET_DIR:-$here/../target}
    (cd "$here/.." && cargo build --quiet --locked --package bailiwick --bin bailiwick) >> "$log" 2>&1 || fail "cargo build of bailiwick failed"
    BAILIWICK=$target/debug/bailiwick
fi
export BAILIWICK="${BAILIWICK:-}"
if [ "${1:-}" = matrix ]; then
    shift
    direct "$@" || set -- --gateway "$BAILIWICK" "$@"
    exec python3 "$here/matrix/run.py" --cache "$cache" "$@"
fi
exec python3 "$here/run.py" --cache "$cache" "$@"
