# Functions over hosts/sources.txt: bring a pinned source, by its SHA-256, from the first that has it, and unpack it. Sourced in the tree's root, after needs.sh.
# What they ask: import (a mirror folder or its address, or ""), offline (yes or ""), store (the cache's folder), mirrors (of Debian, may be "").

vendor=out/vendor

has_digest() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -c 1-64)" = "$2" ]; }

# download ADDRESS FILE: by what this host has for it.
download() {
    if command -v curl >/dev/null; then
        curl -fsSL --retry 2 ${PIP_CERT:+--cacert "$PIP_CERT"} -o "$2" -- "$1" 2>/dev/null
    elif command -v wget >/dev/null; then
        wget -q ${PIP_CERT:+--ca-certificate="$PIP_CERT"} -O "$2" -- "$1"
    else
        SSL_CERT_FILE=${SSL_CERT_FILE:-${PIP_CERT:-}} python3 - "$1" "$2" <<'END' 2>/dev/null
import os, shutil, sys, urllib.request
if not os.environ["SSL_CERT_FILE"]:
    del os.environ["SSL_CERT_FILE"]
with urllib.request.urlopen(sys.argv[1], timeout=60) as page, open(sys.argv[2], "wb") as out:
    shutil.copyfileobj(page, out)
END
    fi
}

# The Python index that pip is configured with, else pip's own.
python_index() {
    index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || :)}
    [ -n "$index" ] || index=$(python3 -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)' 2>/dev/null) || return 1
    echo "${index%/}"
}

# from_pypi PROJECT FILE OUT: through the project's page, whose links may be relative.
from_pypi() {
    index=$(python_index) || return 1
    download "$index/$1/" "$3.page" || return 1
    link=$(tr '>' '\n' <"$3.page" | sed -n "s/.*href=[\"']\\([^\"'#]*\\/$2\\)[\"'#].*/\\1/p" | head -n 1)
    rm -f "$3.page"
    host=$(echo "$index" | sed 's|^\([a-z]*://[^/]*\).*|\1|')
    case $link in
    "") return 1 ;;
    *://*) ;;
    /*) link=$host$link ;;
    *) link=$index/$1/$link ;;
    esac
    download "$link" "$3"
}

# from_debian PACKAGE FILE OUT
from_debian() {
    case $1 in lib?*) letter=$(echo "$1" | cut -c 1-4) ;; *) letter=$(echo "$1" | cut -c 1) ;; esac
    for mirror in $mirrors; do
        download "${mirror%/}/pool/main/$letter/$1/$2" "$3" && return 0
    done
    return 1
}

# bring_one SHA256 FROM PROJECT FILE OUT
bring_one() {
    has_digest "$5" "$1" && return 0
    for near in ${import:+"$import/by-sha256/$1"} "$store/sources/$1"; do
        case $near in
        *://*) download "$near" "$5.part" || continue ;;
        *) [ -r "$near" ] && cp -f -- "$near" "$5.part" || continue ;;
        esac
        has_digest "$5.part" "$1" && mv -f "$5.part" "$5" && return 0
    done
    [ -z "$offline" ] || return 1
    "from_$2" "$3" "$4" "$5.part" || return 1
    has_digest "$5.part" "$1" && mv -f "$5.part" "$5" && return 0
    say "$4 came with another SHA-256 than hosts/sources.txt pins"
    return 1
}

# Keeps a copy in the store, so that `fetch --export` hands it on.
keep_in_store() {
    [ ! -e "$store/sources/$2" ] && mkdir -p "$store/sources" 2>/dev/null && cp "$1" "$store/sources/.$2.$$" 2>/dev/null || return 0
    chmod 0444 "$store/sources/.$2.$$" && mv -f "$store/sources/.$2.$$" "$store/sources/$2" || :
}

# bring_source NAME: into out/vendor/NAME; names the places that hadn't it where none had.
bring_source() {
    stamp=$vendor/$1/.sha256 asked=""
    mkdir -p "$vendor"
    pins=$(awk -v name="$1" '!/^#/ && $1 == name { print $6 }' hosts/sources.txt)
    [ -f "$stamp" ] && case " $(echo $pins) " in *" $(cat "$stamp") "*) return 0 ;; esac
    for row in $(awk -v name="$1" '!/^#/ && $1 == name { print NR }' hosts/sources.txt); do
        # shellcheck disable=SC2046
        set -- "$1" $(awk -v row="$row" 'NR == row { print $3, $4, $5, $6 }' hosts/sources.txt)
        file=$vendor/$4 pin=$5
        asked="$asked${asked:+; }$4 ($2: $3)"
        bring_one "$pin" "$2" "$3" "$4" "$file" || continue
        keep_in_store "$file" "$pin"
        rm -rf "$vendor/$1"
        mkdir "$vendor/$1"
        tar -xf "$file" -C "$vendor/$1" --strip-components=1 --no-same-owner || { rm -rf "$vendor/$1"; continue; }
        echo "$pin" >"$stamp"
        return 0
    done
    die "the source of $1, which Ironwheel compiles in, could not be had. Looked for: $asked${import:+, first in $import}, and in $store/sources.
Give --import DIR (a mirror folder that \`ironwheel fetch --export\` made), --debian-mirror URL, or a network for pip's index."
}
