#!/bin/sh
# Runs each fuzz target of a build for some seconds, from its committed corpus. New inputs go to a folder of the build.
set -eu
build=$1
seconds=$2
for target in "$build"/tests/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=$(basename "$target")
    found="$build/corpus/$name"
    mkdir -p "$found"
    echo "== $name, $seconds s"
    status=0
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/" "$found" "tests/fuzz/corpus/${name#fuzz_}" \
        >"$build/$name.log" 2>&1 || status=$?
    if [ "$status" != 0 ]; then
        tail -n 40 "$build/$name.log"
        echo "$name found something: the input lies in $build" >&2
        exit 1
    fi
    grep -E '^(Done|stat::new_units_added)' "$build/$name.log"
done
