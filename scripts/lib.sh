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
