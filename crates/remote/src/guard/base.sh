#!/bin/sh
# What every script on a target begins with.

set -u

fail() {
    printf 'pleach: %s\n' "$2" >&2
    exit "$1"
}

flush() {
    # Without a name `sync` flushes everything: all that an older one can do.
    sync "$1" 2>/dev/null || sync
}

