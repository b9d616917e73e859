#!/bin/sh
# From a fresh system to a bundle: installs what this host lacks, compiles Ironwheel, builds a stack.
#   ./bootstrap.sh [STACK]   build STACK (default: base)
#   ./bootstrap.sh --list    the stacks, with the hours and the disk that each takes
#   ./bootstrap.sh --deps    only install what compiling and building need; --test-deps: what `make test` needs, too
#   ./bootstrap.sh --compile only that, and compile
#   ./bootstrap.sh --needs   print the packages of this distribution that it asks for
# What follows STACK goes to `ironwheel build` as it is (e.g. --offline, -j 4, --import DIR).
set -eu
cd -- "$(dirname -- "$0")"

test_packages="binutils chromium clang clang-format cmake cppcheck docker-registry fish g++ gfortran git gnupg libcmocka-dev minisign openssh-client openssh-server patch patchelf procps
python3-jsonschema python3-yaml qemu-user qemu-user-static rustc cargo skopeo strace tcsh zsh"

say() { printf '%s\n' "$*" >&2; }
die() { say "bootstrap: $*"; exit 2; }

. hosts/needs.sh
. hosts/sources.sh

# --- what was asked for -----------------------------------------------------------------------------------------------------------

import="" offline="" anyway="" sandbox=yes mirrors="" store=${IRONWHEEL_CACHE:-cache}

# Reads those of the build's options that concern us.
read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --import) import=${2:-} ;;
        --import=*) import=${1#*=} ;;
        --debian-mirror) mirrors=${2:-} ;;
        --debian-mirror=*) mirrors=${1#*=} ;;
        --cache) store=${2:-} ;;
        --cache=*) store=${1#*=} ;;
        --offline) offline=yes ;;
        --anyway) anyway=yes ;;
        --no-sandbox) sandbox="" ;;
        esac
        shift
    done
}

# --- the mirror -------------------------------------------------------------------------------------------------------------------

# Of Debian alone: Ubuntu's archives hold other packages.
apt_mirrors() {
    command -v apt-get >/dev/null || return 0
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(ORIGIN) $(SITE)' 'Created-By: Packages' 2>/dev/null | awk '$1 == "Debian" && $2 ~ /^https?:/ && !seen[$2]++ { printf "%s ", $2 }'
}

# Which Debian mirror: what was given, what apt has, what was answered before, else it is asked. Before anything is compiled.
find_mirror() {
    kept=out/debian-mirror apts=$(apt_mirrors)
    [ -n "$mirrors" ] || mirrors=${IRONWHEEL_DEBIAN_MIRROR:-}
    [ -n "$mirrors" ] || mirrors=$apts
    if [ -z "$mirrors" ] && [ -r $kept ]; then mirrors=$(cat $kept); fi
    if [ -z "$mirrors" ] && [ -z "$import$offline" ] && [ -n "$sandbox" ]; then
        question="The compiler's packages come from a Debian mirror, and this host has no apt that names one of Debian's: which mirror (an address that ends in /debian)?"
        [ -t 0 ] || die "$question Give --debian-mirror URL, or --import DIR."
        printf '%s ' "$question" >&2
        read -r mirrors || :
        case $mirrors in http://* | https://*) ;; *) die "\"$mirrors\" is no address of a mirror" ;; esac
    fi
    [ -n "$mirrors" ] || return 0
    if [ -z "$apts" ]; then
        mkdir -p out
        echo "$mirrors" >$kept
    fi
}

# --- what this host lacks -------------------------------------------------------------------------------------------------------------

# try_install FAMILY PACKAGE…
try_install() {
    family=$1 log=out/install.log
    shift
    mkdir -p out
    case $family in
    debian | ubuntu)
        export DEBIAN_FRONTEND=noninteractive
        apt-get install -y --no-install-recommends "$@" >$log 2>&1 || { apt-get update >$log 2>&1 && apt-get install -y --no-install-recommends "$@" >>$log 2>&1; } ;;
    fedora) dnf install -y --setopt=install_weak_deps=False "$@" >$log 2>&1 ;;
    arch) pacman -Sy --needed --noconfirm "$@" >$log 2>&1 ;;
    opensuse) zypper --non-interactive install --no-recommends "$@" >$log 2>&1 ;;
    esac
}

# Whether this process may install packages in the family's way.
may_install() {
    tool=$(install_command "$1")
    [ -n "$tool" ] && [ "$(id -u)" = 0 ] && command -v "${tool%% *}" >/dev/null
}

# install_needed KINDS
install_needed() {
    family=$(host_family)
    lacking=$(needs_in lacks "$1")
    [ -n "$lacking" ] || return 0
    kinds=$1
    # shellcheck disable=SC2086
    set -- $(needs_packages "$family" $lacking)
    if ! may_install "$family"; then
        command=$(install_command "$family")
        [ -n "$command" ] || die "$(host_name) lacks these libraries and programs: $*
Install them, with what compiling against them needs, and then run ./bootstrap.sh again."
        die "$(host_name) lacks packages. As root:
    $command $*
and then ./bootstrap.sh again."
    fi
    say "Installing $# packages that this host lacks: $*"
    try_install "$family" "$@" || { tail -n 15 out/install.log >&2; die "the packages could not be installed; the whole output is in out/install.log"; }
    lacking=$(needs_in lacks "$kinds" | tr '\n' ' ')
    [ -z "$lacking" ] || die "installed, but still not found: $lacking(looked for as hosts/needs.txt says)"
}

# What we can do without is installed one by one: a distribution may have no such package.
install_wished() {
    family=$(host_family)
    may_install "$family" || return 0
    for name in $(needs_in lacks wish); do
        package=$(needs_packages "$family" "$name")
        # shellcheck disable=SC2086
        [ -z "$package" ] || try_install "$family" $package || :
    done
}

install_all() {
    install_needed "compile run"
    install_wished
    old=$(needs_too_old "compile run")
    [ -z "$old" ] || die "$old"
}

install_test_packages() {
    install_all
    command -v apt-get >/dev/null || die "tests are run on Debian 12"
    # shellcheck disable=SC2046
    set -- $(dpkg-query -W -f '${binary:Package} ${db:Status-Abbrev}\n' $test_packages 2>/dev/null |
        awk -v wanted="$(echo $test_packages)" '$2 ~ /^i/ { sub(/:.*/, "", $1); have[$1] = 1 } END { n = split(wanted, w, " "); for (i = 1; i <= n; i++) if (!(w[i] in have)) print w[i] }')
    [ $# -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "tests need $# packages more. As root: apt-get install $*"
    say "Installing $# packages that tests need: $*"
    try_install debian "$@" || { tail -n 15 out/install.log >&2; die "the packages could not be installed; the whole output is in out/install.log"; }
}

bring_sources() {
    bring_source zstd
    [ "$(needs_in has wish | grep -x zydis)" ] || { bring_source zycore; bring_source zydis; }
}

# --- compiling and building -----------------------------------------------------------------------------------------------------------

compile() {
    log=out/make.log
    mkdir -p out
    make -q all 2>/dev/null && return 0
    say "Compiling Ironwheel (about a minute)"
    make -j"$(nproc)" all >$log 2>&1 || { tail -n 20 $log >&2; die "compiling failed; the whole output is in $log"; }
}

# What is compiled already needs no compiler.
ready() {
    if [ -x out/release/ironwheel ] && make -q all 2>/dev/null; then
        install_needed run
    else
        install_all
        bring_sources
        compile
    fi
}

# What the stack's bundle will need of a C library, against what this host has: said before anything is installed or fetched.
check_floor() {
    floor=$(sed -n 's/^glibc: *\([0-9.]*\).*/\1/p' "recipes/stacks/$1.yaml" 2>/dev/null | head -n 1)
    own=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc //p')
    [ -n "$floor" ] && [ -n "$own" ] && [ -z "$anyway" ] && older "$own" "$floor" || return 0
    die "$1 will need glibc $floor; this host has $own: it is for other rigs. Give --anyway after the stack's name to build it all the same."
}

[ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ] || die "Ironwheel builds on x86-64 Linux, and this is $(uname -s) on $(uname -m)"
case "${1:-}" in
--help | -h) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
--needs) needs_packages "$(host_family)" $(needs_rows "compile run wish" | cut -d ' ' -f 1); echo; exit 0 ;;
--deps) install_all; exit 0 ;;
--test-deps) install_test_packages; exit 0 ;;
--sources) mirrors=${IRONWHEEL_DEBIAN_MIRROR:-$(apt_mirrors)}; bring_sources; exit 0 ;;
--compile) shift; read_options "$@"; find_mirror; ready; exit 0 ;;
--list) ready; exec out/release/ironwheel list ;;
-*) die "unknown option $1; see ./bootstrap.sh --help" ;;
esac
stack=${1:-base}
[ $# -eq 0 ] || shift
read_options "$@"
check_floor "$stack"
find_mirror
ready
exec out/release/ironwheel build "$stack" "$@"
