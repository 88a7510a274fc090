#!/bin/sh
# Set up stackfile in .venv if needed, then run the quickstart stack on the embedded engine, and look at it.
set -eu
cd "$(dirname "$0")/../.."
sh .ci/venv

root=$(pwd)
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "root is needed: su asks for its password" >&2
        su -c 'exec "$@"' root -- sh "$@"
    fi
}

cd examples/quickstart
as_root "$root/.venv/bin/stackfile" up
echo
as_root "$root/.venv/bin/stackfile" ps
echo
"$root/.venv/bin/python" -c '
import urllib.request
print("GET http://localhost:8080/ :", urllib.request.urlopen("http://localhost:8080/", timeout=10).read().decode(), end="")
'
cat <<END

In examples/quickstart, as root:
  $root/.venv/bin/stackfile logs -f      what the containers say
  $root/.venv/bin/stackfile plan         what the next up would change
  $root/.venv/bin/stackfile down -v      take everything away
END
