#!/bin/sh
# setup.sh: everything that needs the network, so that running Bootyard does not.
# Each step first looks whether there is anything to do.
set -eu
cd "$(dirname "$0")/../.."
loaders=.venv/share/bootyard/loaders

deploy/setup/system.sh
deploy/setup/python.sh runtime

suite=${DEBIAN_MIRROR:+trixie} # a mirror was named: then nothing but Debian's loaders will do
case $(.venv/bin/python deploy/setup/loaders.py check "$loaders" "$suite") in
    complete) ;;
    incomplete)
        deploy/setup/loaders.sh "$loaders" "${DEBIAN_MIRROR:-}" ||
            echo "The loaders stay as they are; the next 'make setup' tries again."
        ;;
    *)
        deploy/setup/loaders.sh "$loaders" "${DEBIAN_MIRROR:-}"
        ;;
esac
