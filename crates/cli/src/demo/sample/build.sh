#!/bin/sh
# Builds ./service from main.rs. A source that was built before is taken from the cache.
set -eu

compiler=$(rustc --version)
cache="${PLEACH_DEMO_CACHE:-${XDG_CACHE_HOME:-${HOME:-.}/.cache}/pleach-demo}"
key=$( (echo "$compiler"; cat main.rs) | cksum | tr ' ' '-')
mkdir -p "$cache"

if [ ! -x "$cache/$key" ]; then
    echo "compiling main.rs with $compiler"
    # In a folder of its own and renamed: builds side by side share neither the result nor the compiler's own files, which
    # it names by the result's name up to its first dot.
    aside=$(mktemp -d "$cache/build-XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    rustc --edition 2021 -C opt-level=1 -C strip=symbols -o "$aside/service" main.rs
    mv "$aside/service" "$cache/$key"
fi
cp "$cache/$key" service
echo "built service ($(wc -c < service | tr -d ' ') bytes)"
