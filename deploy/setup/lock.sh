#!/bin/sh
# lock.sh: write requirements.txt and requirements-dev.txt anew from pyproject.toml.
# Pins that still fit stay as they are; UPGRADE=1 takes the newest that fit.
set -eu
cd "$(dirname "$0")/../.."

uv=$(command -v uv || echo .venv/bin/uv)
[ -x "$uv" ] || .venv/bin/python -m pip install --quiet uv

compile() { # OUTPUT ARGUMENTS ...: Bootyard's requirements, and what builds it
    output=$1
    shift
    .venv/bin/python -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], sep="\n")' |
        "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
            --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
            ${UPGRADE:+--upgrade} --output-file "$output" "$@" pyproject.toml -
}

compile requirements.txt
compile requirements-dev.txt --extra dev --constraint requirements.txt

if grep -n '://' requirements.txt requirements-dev.txt; then
    echo "lock: an address got into the lock files" >&2
    exit 1
fi
