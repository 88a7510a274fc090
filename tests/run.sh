#!/bin/sh
# Set up stackfile with its test tools in .venv if needed, then run the tests: all of them as root, else by sudo.
# Arguments go to pytest: `sh tests/run.sh tests/unit -k plan`.
set -eu
cd "$(dirname "$0")/.."
sh .ci/venv test

if [ "$(id -u)" = 0 ]; then as_root=
elif command -v sudo >/dev/null; then as_root='sudo --preserve-env=CI'
else
    echo "without root or sudo: tests that need root are skipped" >&2
    as_root=
fi
# shellcheck disable=SC2086
exec $as_root .venv/bin/python -m pytest -n 2 --dist loadgroup "$@"
