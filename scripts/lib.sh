# shellcheck shell=bash
# Shared by the scripts beside it and by .ci/run; to be sourced, after `set -euo pipefail`.

# The repository and where things are built. Everything that the scripts fetch or install stays under $target.
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
[[ $target == /* ]] || target=$root/$target
cd "$root" || exit

# fail MESSAGE [DETAIL...]: ends the script.
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '  %s\n' "$@" >&2
    exit 1
}

# debian_packages PACKAGE...: installs those that are missing, or says what to do where that cannot be done.
debian_packages() {
    local missing=() package sudo=()
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0

    command -v apt-get >/dev/null || fail "missing: ${missing[*]} (names of Debian packages; install their like on this system)"
    if [[ $(id -u) != 0 ]]; then
        sudo -n true 2>/dev/null || fail "missing Debian packages; run: apt-get install ${missing[*]}"
        sudo=(sudo -n)
    fi
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}"
}

# package_installed PACKAGE: whether Debian's package is there. Elsewhere the caller knows what to look for.
package_installed() {
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}
