#!/bin/sh
# system.sh: the system packages that Bootyard needs to run, where we may install them.
set -eu
here=$(dirname "$0")

"$here/packages.sh" "$here/packages/run.txt" || {
    echo "Going on without them: what cannot be done without is said where it is needed."
}
