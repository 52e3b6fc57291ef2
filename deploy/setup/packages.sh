#!/bin/sh
# packages.sh LIST: install what is missing of the Debian packages named in LIST.
#
# One package a line; "a | b" is content with any of them and installs the first that apt
# knows; "#" starts a comment. Exit code 1: something is missing still, and it was said what.
set -eu

policy=/usr/sbin/policy-rc.d
mark="bootyard set-up: no service starts while packages are installed"

wanted() { # the lines of a list, without comments and empty lines
    sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^[[:space:]]*$/d' "$1"
}

installed() { # is any of "a | b" installed?
    for name in $(echo "$1" | tr '|' ' '); do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ]; then
            return 0
        fi
    done
    return 1
}

known() { # the first of "a | b" that apt can install
    for name in $(echo "$1" | tr '|' ' '); do
        if apt-cache policy "$name" | grep -q '^  Candidate: [^(]'; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

hold_services() { # package scripts ask policy-rc.d before they start a daemon
    saved=$(mktemp -d)
    if [ -e "$policy" ] && ! grep -qF "$mark" "$policy"; then
        cp -p "$policy" "$saved/policy-rc.d"
    fi
    trap release_services EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
}

release_services() {
    if [ -e "$saved/policy-rc.d" ]; then
        cp -p "$saved/policy-rc.d" "$policy"
    else
        rm -f "$policy"
    fi
    rm -rf "$saved"
}

list=$1
missing=$(mktemp)
if command -v dpkg-query >/dev/null; then
    wanted "$list" | while read -r line; do
        installed "$line" || echo "$line"
    done >"$missing"
else
    wanted "$list" >"$missing"
fi
lines=$(cat "$missing")
rm -f "$missing"
[ -n "$lines" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "This machine has no apt. Install with its own package manager what is like Debian's:"
    echo "$lines" | sed 's/^/  /'
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "Packages are missing, and only root can install them:"
    echo "  sudo apt-get install --no-install-recommends $(echo "$lines" | sed 's/ *|.*//' | tr '\n' ' ')"
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
echo "Updating the package lists"
apt-get update -qq || echo "Some package lists could not be updated; going on with what there is."

to_install=
unknown=
while read -r line; do
    if name=$(known "$line"); then
        to_install="$to_install $name"
    else
        unknown="$unknown $line;"
    fi
done <<END
$lines
END

if [ -n "$to_install" ]; then
    echo "Installing:$to_install"
    hold_services
    # shellcheck disable=SC2086  # a list of words
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 $to_install
fi
if [ -n "$unknown" ]; then
    echo "This machine's apt does not know:$unknown"
    exit 1
fi
