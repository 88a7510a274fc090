#!/bin/sh
# Set up stackfile with its test tools in .venv if needed, then run the tests: all of them as root, else by sudo.
# On Debian and Ubuntu the small programs that tests use inside and beside containers are fetched where they are missing.
# Arguments go to pytest: `sh tests/run.sh tests/unit -k plan`.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; then
    sh .ci/venv test busybox=busybox-static ip=iproute2 nft=nftables sysctl=procps
else
    sh .ci/venv test
fi

if [ "$(id -u)" = 0 ]; then as_root=
elif command -v sudo >/dev/null; then as_root='sudo --preserve-env=CI'
else
    echo "without root or sudo: tests that need root are skipped" >&2
    as_root=
fi
run() {
    # shellcheck disable=SC2086
    $as_root .venv/bin/python -m tests.world "$@"
}

if [ $# -gt 0 ]; then
    run "$@"
else
    # The leak tests compare lists of the whole machine: they run when nothing else does.
    status=0
    # Much of it waits: three at once keep two processors busy.
    run -n 3 --dist loadfile -m "not alone" || status=$?
    run -m alone || status=$?
    exit $status
fi
