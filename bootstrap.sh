#!/bin/sh
# From a fresh Debian 12 to a bundle: installs what this host lacks, compiles Ironwheel, builds a stack.
#   ./bootstrap.sh [STACK]   build STACK (default: base)
#   ./bootstrap.sh --list    the stacks, with the hours and the disk that each takes
#   ./bootstrap.sh --deps    only install what compiling and building need; --test-deps: what `make test` needs, too
# What follows STACK goes to `ironwheel build` as it is (e.g. --offline, -j 4).
set -eu
cd -- "$(dirname -- "$0")"

packages="bubblewrap ca-certificates debian-archive-keyring gcc gpgv libc6-dev libarchive-dev libcurl4-openssl-dev libelf-dev libgit2-dev libjansson-dev libseccomp-dev
libmicrohttpd-dev libsodium-dev libsqlite3-dev libssl-dev libyaml-dev libzstd-dev libzydis-dev make pkg-config python3 python3-pip zstd"
test_packages="binutils chromium clang clang-format cmake cppcheck fish g++ gfortran git gnupg libcmocka-dev minisign openssh-server patch patchelf procps python3-jsonschema python3-yaml qemu-user
qemu-user-static rustc cargo strace tcsh zsh"

say() { printf '%s\n' "$*" >&2; }
die() { say "bootstrap: $*"; exit 2; }

[ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ] || die "Ironwheel builds on x86-64 Linux, and this is $(uname -s) on $(uname -m)"

# Prints those of "$@" that dpkg doesn't have installed.
missing() {
    dpkg-query -W -f '${binary:Package} ${db:Status-Abbrev}\n' "$@" 2>/dev/null |
        awk -v wanted="$*" '$2 ~ /^i/ { sub(/:.*/, "", $1); have[$1] = 1 } END { n = split(wanted, w); for (i = 1; i <= n; i++) if (!(w[i] in have)) print w[i] }'
}

install_packages() {
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        command -v gcc >/dev/null && command -v make >/dev/null && command -v bwrap >/dev/null && command -v pkg-config >/dev/null &&
            pkg-config --exists libgit2 libarchive libcurl yaml-0.1 sqlite3 libcrypto libelf jansson libseccomp libzstd libsodium libmicrohttpd && return 0
        die "this isn't Debian: install what these Debian packages hold under your distribution's names, then run ./bootstrap.sh again:
$*"
    fi
    lacking=$(missing "$@")
    [ -n "$lacking" ] || return 0
    # shellcheck disable=SC2086
    set -- $lacking
    [ "$(id -u)" = 0 ] || die "this host lacks $# packages. As root:
    apt-get install $*
and then ./bootstrap.sh again."
    say "Installing $# packages that this host lacks: $*"
    export DEBIAN_FRONTEND=noninteractive
    log=out/apt.log
    mkdir -p out
    apt-get install -y --no-install-recommends "$@" >$log 2>&1 ||
        { apt-get update >$log 2>&1 && apt-get install -y --no-install-recommends "$@" >>$log 2>&1; } ||
        { tail -n 15 $log >&2; die "apt-get could not install them; its output is in $log"; }
}

compile() {
    log=out/make.log
    mkdir -p out
    make -q all 2>/dev/null && return 0
    say "Compiling Ironwheel (about a minute)"
    make -j"$(nproc)" all >$log 2>&1 || { tail -n 20 $log >&2; die "compiling failed; the whole output is in $log"; }
}

case "${1:-}" in
--help | -h) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
--deps) install_packages $packages; exit 0 ;;
--test-deps) install_packages $packages $test_packages; exit 0 ;;
--list) install_packages $packages; compile; exec out/release/ironwheel list ;;
-*) die "unknown option $1; see ./bootstrap.sh --help" ;;
esac
stack=${1:-base}
[ $# -eq 0 ] || shift
install_packages $packages
compile
exec out/release/ironwheel build "$stack" "$@"
