"""Bailiwick: key authentication, manifest and the durable ledger on, SQLite. BAILIWICK: its program.

Variants: (none) the upstream is trusted, so that its read-only hints count; `write` it is a third party, so that
every call may have effects and its intent is on disk before it is made.
"""
import json
import subprocess


def adapter(ctx, variant=None):
    if variant not in (None, "write"):
        raise RuntimeError(f"no variant {variant}")
    trust = "third_party" if variant == "write" else "first_party"
    names = [f"u{i}" for i in range(len(ctx.upstreams))]
    manifest = {"agent_type": "bench", "description": "Everything.", "servers": {name: {} for name in names}}
    config = {
        "listen": f"127.0.0.1:{ctx.port}",
        "state_dir": str(ctx.dir / "state"),
        "manifests": [str(ctx.file("bench.yml", json.dumps(manifest)))],
        "log": {"filter": "warn"},
        "shutdown": {"ready_delay_seconds": 0, "drain_seconds": 5},
        # One benchmark client with 128 connections and thousands of idle ones would meet what keeps one agent in its place.
        "limits": {
            "connections_per_source_max": 20000, "in_flight_per_principal_max": 2000, "in_flight_per_org_max": 2000,
            "in_flight_per_upstream_max": 2000, "tools_per_upstream_max": 20000, "tools_per_view_max": 50000,
            "result_text_bytes_max": 8 << 20,
        },
        "servers": {name: {"url": url, "trust": trust, "allow_private": ["127.0.0.1/32"]} for name, url in zip(names, ctx.upstreams)},
    }
    conf = ctx.file("bailiwick.yml", json.dumps(config))
    program = ctx.program("BAILIWICK", "bailiwick")
    key = [program, "key", "create", "--agent-id", "bench-01", "--agent-type", "bench", "--config", str(conf)]
    made = subprocess.run(key, cwd=ctx.dir, capture_output=True, text=True, timeout=60)
    if made.returncode != 0:
        raise RuntimeError(f"key create: {made.stderr.strip()}")
    return dict(cmd=[program, "serve", "--config", conf], url=f"http://127.0.0.1:{ctx.port}/mcp", bearer=made.stdout.split()[-1],
                eras=["init", "modern"], note=f"key + manifest + ledger, {'effects' if variant else 'read-only'} calls")
