#!/bin/sh
# test-packages.sh [long]: the system packages that only the tests need.
# A test whose tools are missing still says so itself.
set -eu
here=$(dirname "$0")

"$here/packages.sh" "$here/packages/test.txt" || echo "Some tests will not be able to run."
if [ "${1:-}" = long ]; then
    "$here/packages.sh" "$here/packages/test-long.txt" || echo "Some long tests will not be able to run."
fi
