#!/bin/sh
# python.sh [runtime|dev]: .venv with the locked requirements, and Bootyard itself in it.
#
# What was installed is remembered by the hash of its requirements file, so a second run
# does nothing and needs no network.
set -eu
cd "$(dirname "$0")/../.."

case ${1:-runtime} in
    runtime) requirements="requirements.txt" ;;
    dev) requirements="requirements-dev.txt" ;;
    *) echo "usage: python.sh [runtime|dev]" >&2; exit 2 ;;
esac
stamps=.venv/share/bootyard/stamps

find_python() { # the first Python in PATH that is new enough and can make a venv
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

make_venv() {
    if ! python=$(find_python); then
        echo "Bootyard needs Python 3.11 or newer with its venv module, and there is none in PATH." >&2
        echo "Debian 12 and Ubuntu 24.04 or newer: apt-get install python3 python3-venv" >&2
        echo "One of another name: make setup PYTHON=/path/to/python3.12" >&2
        exit 1
    fi
    echo "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
    mkdir -p "$stamps"
    pwd >"$stamps/place"
}

usable() { # a venv knows its own path: one that was copied or lost its Python is made anew
    .venv/bin/python -c 'import pip' 2>/dev/null &&
        { [ ! -e "$stamps/place" ] || [ "$(cat "$stamps/place")" = "$(pwd)" ]; }
}

done_already() { # NAME HASH
    [ -e "$stamps/$1" ] && [ "$(cat "$stamps/$1")" = "$2" ]
}

pip() {
    .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"
}

usable || make_venv
mkdir -p "$stamps"

hash=$(sha256sum <"$requirements")
if ! done_already "$requirements" "$hash"; then
    echo "Installing $requirements"
    pip install --quiet --require-hashes --no-deps -r "$requirements"
    echo "$hash" >"$stamps/$requirements"
fi

hash=$( (pwd; cat pyproject.toml setup.py services/tftp/mmsg_build.py) | sha256sum)
if ! done_already project "$hash"; then
    echo "Installing Bootyard itself"
    pip install --quiet --no-index --no-deps --no-build-isolation --editable .
    echo "$hash" >"$stamps/project"
fi
