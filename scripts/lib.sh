# shellcheck shell=bash
# Functions for the scripts in this folder and .ci/run. Source it after `set -euo pipefail`.

# The repository and the target directory. Everything that the scripts download or install stays in $target.
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
[[ $target == /* ]] || target=$root/$target
cd "$root" || exit

# fail MESSAGE [DETAIL...]: prints an error and ends the script.
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '  %s\n' "$@" >&2
    exit 1
}

# debian_packages PACKAGE...: installs the missing ones. If that is not possible, fails with what to do.
debian_packages() {
    local missing=() package sudo=()
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0

    command -v apt-get >/dev/null || fail "missing programs; install what these Debian packages contain: ${missing[*]}"
    if [[ $(id -u) != 0 ]]; then
        sudo -n true 2>/dev/null || fail "missing Debian packages; run: apt-get install ${missing[*]}"
        sudo=(sudo -n)
    fi
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}"
}

# package_installed PACKAGE: whether the Debian package is installed. Always false on other systems.
package_installed() {
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# unpack_debian FOLDER VERSION PACKAGE...: unpacks Debian packages into FOLDER, without installing them. If the archive has a version of a
# package that begins with VERSION and a dot, it is that one.
unpack_debian() {
    local folder=$1 version=$2 debs deb status=0
    shift 2
    debs=$(mktemp -d)
    mkdir -p "$folder"
    download_debian "$debs" "$version" "$@" || { update_debian && download_debian "$debs" "$version" "$@"; } || status=$?
    if ((status == 0)); then
        for deb in "$debs"/*.deb; do
            dpkg -x "$deb" "$folder"
        done
    fi
    rm -rf "$debs"
    return "$status"
}

download_debian() {
    local folder=$1 version=$2 package wanted=()
    shift 2
    # The version is named, since security updates add newer ones.
    for package in "$@"; do
        wanted+=("$package$(apt-cache madison "$package" | awk -v version="$version." 'index($3, version) == 1 { print "=" $3; exit }')")
    done
    (cd "$folder" && apt-get -q -o APT::Sandbox::User=root download "${wanted[@]}")
}

update_debian() {
    local sudo=()
    [[ $(id -u) == 0 ]] || sudo=(sudo -n)
    "${sudo[@]}" apt-get update -q
}

# unpack_package FOLDER: makes the package that `cargo publish` would upload, and unpacks it to FOLDER. Sets $crate to its file.
unpack_package() {
    cargo package --quiet --locked --allow-dirty --no-verify
    crate=$target/package/codehost-oauth-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1).crate
    mkdir -p "$1"
    tar -xzf "$crate" -C "$1" --strip-components 1
}
