#!/bin/sh
# loaders.sh DEST [MIRROR]: unpack the boot loaders of Debian trixie into DEST.
#
# trixie, whatever release this machine runs: older GRUBs and iPXEs do not boot the way
# Bootyard needs. apt does the work with lists of its own, so the machine's own packages and
# lists stay untouched, and the signature is checked with the Debian archive's key. The mirror
# is the one this machine already uses, or MIRROR. Ubuntu without MIRROR: its own release.
# DEST appears at the end, complete; MANIFEST.json in it names the origin of each file.
set -eu
umask 022
unset CDPATH

if [ $# -lt 1 ] || [ -z "$1" ]; then
    echo "usage: loaders.sh DEST [MIRROR]" >&2
    exit 2
fi
dest=$1
mirror=${2:-}
suite=trixie
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "loaders: $*" >&2
    exit 1
}

for tool in apt-get dpkg-deb python3; do
    command -v "$tool" >/dev/null || fail "needs $tool. On a machine without it, copy" \
        ".venv/share/bootyard/loaders from one where 'make setup' works."
done

mkdir -p "$(dirname "$dest")"
dest=$(cd "$(dirname "$dest")" && pwd)/$(basename "$dest")
staging=$(dirname "$dest")/.$(basename "$dest").new
work=$(mktemp -d)
trap 'rm -rf "$work" "$staging"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

os_release() { # a field of /etc/os-release
    # shellcheck disable=SC1091
    (. /etc/os-release && eval "echo \"\${$1:-}\"")
}

own_mirrors() { # the addresses that this machine takes its Debian packages from
    [ "$(os_release ID)" = debian ] || return 0
    # Words of the format are apt's, not the shell's.
    # shellcheck disable=SC2016
    apt-get indextargets --no-release-info --format '$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)' |
        awk -v codename="$(os_release VERSION_CODENAME)" '
            $1 == "Packages" && $2 == "main" && $4 !~ /^cdrom:/ && !seen[$4]++ &&
            ($3 == codename || $3 ~ /^((old)*stable|testing|unstable|sid|trixie)$/) { print $4 }'
}

archive_key() { # trixie's own key, or the whole keyring
    for name in debian-archive-trixie-stable debian-archive-keyring; do
        for file in "/usr/share/keyrings/$name.gpg" "/usr/share/keyrings/$name.pgp"; do
            if [ -e "$file" ]; then
                echo "$file"
                return 0
            fi
        done
    done
    return 1
}

private_apt() { # ARCHITECTURE COMMAND ...: an apt that has trixie's lists and nothing else
    root=$work/apt-$1
    architecture=$1
    command=$2
    shift 2
    "$command" -o Dir::State="$root/state" -o Dir::State::status="$root/status" \
        -o Dir::Cache="$root/cache" \
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$root/sources" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o APT::Architecture="$architecture" -o APT::Architectures::="$architecture" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

get_lists() { # ARCHITECTURE MIRROR [TRIES]
    root=$work/apt-$1
    rm -rf "$root"
    mkdir -p "$root/sources" "$root/state/lists/partial" "$root/cache/archives/partial"
    : >"$root/status"
    cat >"$root/sources/debian.sources" <<END
Types: deb
URIs: $2
Suites: $suite
Components: main
Architectures: $1
Targets: Packages
Signed-By: $key
END
    for try in 1 2 3; do # a mirror in the middle of an update is right again soon
        if private_apt "$1" apt-get update -qq -o APT::Update::Error-Mode=any; then
            return 0
        fi
        [ "$try" -lt "${3:-3}" ] || return 1
        sleep $((try * 3))
    done
}

unpack() { # ARCHITECTURE APT ...: all packages of the architecture, as far as apt has them
    architecture=$1
    shift
    missing=0
    mkdir -p "$work/debs"
    for package in $(python3 "$here/loaders.py" packages "$architecture"); do
        rm -f "$work/debs"/*.deb
        (cd "$work/debs" && "$@" -qq download "$package:$architecture") || {
            echo "loaders: no package $package for $architecture" >&2
            missing=1
            continue
        }
        for deb in "$work/debs"/*.deb; do
            dpkg-deb -x "$deb" "$work/unpacked/$package.$architecture"
            dpkg-deb -f "$deb" Version >"$work/unpacked/$package.$architecture.version"
        done
    done
    return "$missing"
}

mkdir -p "$work/unpacked"
incomplete=
if [ -z "$mirror" ] && [ -z "$(own_mirrors)" ]; then
    [ "$(os_release ID)" != debian ] ||
        fail "apt names no Debian mirror; give one: make setup DEBIAN_MIRROR=http://HOST/debian"
    suite=$(os_release VERSION_CODENAME)
    echo "Loaders of this machine's own release, $suite, are taken. Debian trixie's are tested" \
        "better: make setup DEBIAN_MIRROR=http://HOST/debian takes those."
    [ "$(id -u)" != 0 ] || apt-get update -qq || echo "Going on with the package lists there are."
    unpack "$(dpkg --print-architecture)" apt-get -o APT::Sandbox::User=root || true
else
    key=$(archive_key) || fail "the Debian archive's key is missing: install debian-archive-keyring"
    found=
    for candidate in ${mirror:-$(own_mirrors)}; do
        echo "Reading Debian $suite's package lists"
        if get_lists amd64 "$candidate"; then
            found=$candidate
            break
        fi
    done
    [ -n "$found" ] || fail "no mirror gave Debian $suite's package lists, signed with $key"
    echo "Unpacking the loaders"
    unpack amd64 private_apt amd64 apt-get
    if ! { get_lists arm64 "$found" && unpack arm64 private_apt arm64 apt-get; }; then
        incomplete=arm64
        echo "loaders: the signed loaders for arm64 could not be had this time" >&2
    fi
    for rare in $(python3 "$here/loaders.py" rare); do
        { get_lists "$rare" "$found" 1 && unpack "$rare" private_apt "$rare" apt-get; } 2>/dev/null ||
            echo "loaders: GRUB for $rare could not be had; 'make loaders' tries again"
    done
fi

rm -rf "$staging"
python3 "$here/loaders.py" lay "$work/unpacked" "$staging" "$suite" $incomplete

rm -rf "$staging.old"
[ ! -e "$dest" ] || mv "$dest" "$staging.old"
mv "$staging" "$dest"
rm -rf "$staging.old"
echo "Loaders of $suite are in place"
