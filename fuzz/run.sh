#!/usr/bin/env bash
# Runs every fuzz target, one after the other, SECONDS each (60 without an argument). Closes with `N passed, N failed`.
#
# Needs cargo-fuzz (`cargo install cargo-fuzz --locked`); RUSTC_BOOTSTRAP lets the stable compiler take its flags.
# BAILIWICK_FUZZ_TARGET_DIR  build products (default: fuzz/target)
# BAILIWICK_FUZZ_SANITIZER   address or none (default: address)
# What a run learns goes to corpus/, what fails to artifacts/; both stay out of the repository. A found input, made small, becomes a
# test of the crate it was found in.
set -uo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
target_dir=${BAILIWICK_FUZZ_TARGET_DIR:-$PWD/target}
sanitizer=${BAILIWICK_FUZZ_SANITIZER:-address}
export RUSTC_BOOTSTRAP=1
# Freed memory is kept aside for a while to find late uses; its default alone would fill the limit below.
# SQLite is built with some of its tables twice.
export ASAN_OPTIONS="quarantine_size_mb=16:detect_odr_violation=0:${ASAN_OPTIONS:-}"

RSS_MB_MAX=256
INPUT_SECONDS_MAX=1
targets=(message headers events handles lines)

CARGO_TARGET_DIR=$target_dir cargo fuzz build --fuzz-dir . --target-dir "$target_dir" --sanitizer "$sanitizer" || {
    echo "0 passed, ${#targets[@]} failed"
    exit 1
}
programs=$target_dir/$(rustc -vV | sed -n 's/^host: //p')/release

passed=0
failed=0
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    log=artifacts/$target.log
    "$programs/$target" "corpus/$target" "seeds/$target" "-artifact_prefix=artifacts/$target/" -print_final_stats=1 \
        "-max_total_time=$seconds" "-rss_limit_mb=$RSS_MB_MAX" "-timeout=$INPUT_SECONDS_MAX" > "$log" 2>&1
    code=$?
    stat() { sed -n "s/^stat::$1: *//p" "$log"; }
    executions=$(stat number_of_executed_units)
    if [ "$code" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok      $target: ${executions:-?} executions in $seconds s, $(stat peak_rss_mb) MB"
    else
        failed=$((failed + 1))
        echo "failed  $target after ${executions:-?} executions (exit code $code)"
        grep -aE "panicked at|SUMMARY|Test unit written|ERROR" -A 3 "$log" | tail -n 25 | sed 's/^/        | /'
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
