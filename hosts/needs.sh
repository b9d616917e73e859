# Functions over hosts/needs.txt, for bootstrap.sh and `make`: which family of distributions this is, what it lacks, what is too old. Sourced in the tree's root.
# IW_OS_RELEASE names another file than /etc/os-release (for tests).

# debian, ubuntu, fedora, arch or opensuse; "" for any other.
host_family() {
    file=${IW_OS_RELEASE:-/etc/os-release}
    [ -r "$file" ] || return 0
    for id in $(sed -n 's/^ID=//p; s/^ID_LIKE=//p' "$file" | tr -d \"\'); do
        case $id in
        debian | ubuntu | fedora | arch | opensuse) echo "$id"; return 0 ;;
        rhel | centos) echo fedora; return 0 ;;
        suse | opensuse-*) echo opensuse; return 0 ;;
        esac
    done
}

# The name that a person knows this distribution by.
host_name() {
    name=$(sed -n 's/^PRETTY_NAME=//p' "${IW_OS_RELEASE:-/etc/os-release}" 2>/dev/null | tr -d \"\' | head -n 1)
    echo "${name:-this system}"
}

# needs_rows KINDS: "name kind found least" of each row of these kinds.
needs_rows() {
    awk -v kinds=" $1 " '!/^#/ && NF && index(kinds, " " $2 " ") { print $1, $2, $3, $4 }' hosts/needs.txt
}

# needs_packages FAMILY NAME…: the packages of these rows in the family's own names; a row's own name where the family isn't known.
needs_packages() {
    family=$1
    shift
    awk -v family="$family" -v wanted=" $* " '
        BEGIN { column["debian"] = 5; column["ubuntu"] = 6; column["fedora"] = 7; column["arch"] = 8; column["opensuse"] = 9 }
        !/^#/ && NF && index(wanted, " " $1 " ") {
            text = family in column ? $column[family] : $1
            if (text == "=") text = $5
            if (text == "-") next
            gsub(/\+/, " ", text)
            if (!(text in seen)) print text
            seen[text] = 1
        }' hosts/needs.txt | tr '\n' ' ' | sed 's/ $//'
}

# The command that installs packages there; "" where the family isn't known.
install_command() {
    case $1 in
    debian | ubuntu) echo "apt-get install" ;;
    fedora) echo "dnf install" ;;
    arch) echo "pacman -S --needed" ;;
    opensuse) echo "zypper install" ;;
    esac
}

# older A B: whether version A comes before B, number by number.
older() {
    awk -v a="$1" -v b="$2" 'BEGIN {
        n = split(a, x, /[^0-9]+/); m = split(b, y, /[^0-9]+/)
        for (i = 1; i <= n || i <= m; i++) if (x[i] + 0 != y[i] + 0) exit !(x[i] + 0 < y[i] + 0)
        exit 1
    }'
}

# The version that this host has of a row ("" where it can't be told).
need_version() {
    case $1 in
    pc:*) ${PKG_CONFIG:-pkg-config} --modversion "${1#pc:}" 2>/dev/null ;;
    program:gcc) ${CC:-gcc} -dumpfullversion 2>/dev/null ;;
    program:*) "${1#program:}" --version 2>/dev/null | sed -n '1s/^[^0-9]*\([0-9][0-9.]*\).*/\1/p' ;;
    esac
}

# need_state FOUND LEAST: "has", "lacks", or "old".
need_state() {
    what=${1#*:}
    case $1 in
    pc:*) ${PKG_CONFIG:-pkg-config} --exists "$what" 2>/dev/null || { echo lacks; return; } ;;
    program:*) command -v "$what" >/dev/null 2>&1 || { echo lacks; return; } ;;
    file:*) [ -e "$what" ] || { echo lacks; return; } ;;
    static:) echo 'int main(void) { return 0; }' | ${CC:-gcc} -static -x c -o /dev/null - 2>/dev/null || { echo lacks; return; } ;;
    header:*)
        rest=${what#*:}
        printf '#include <%s>\n' "${what%%:*}" | ${CC:-gcc} -E -x c - >/dev/null 2>&1 || { echo lacks; return; }
        printf '#include <%s>\n_Static_assert(%s >= %s, "old");\n' "${what%%:*}" "${rest%%:*}" "${rest#*:}" | ${CC:-gcc} -fsyntax-only -x c - 2>/dev/null || { echo old; return; } ;;
    esac
    case $1 in
    header:* | file:* | static:) ;;
    *)
        version=$(need_version "$1") # "": it can't be told, and is taken as it is
        [ "$2" = - ] || [ -z "$version" ] || ! older "$version" "$2" || { echo old; return; } ;;
    esac
    echo has
}

# needs_in STATES KINDS: the names of the rows of these kinds that are in one of these states here.
needs_in() {
    needs_rows "$2" | while read -r name kind found least; do
        case " $1 " in *" $(need_state "$found" "$least") "*) echo "$name" ;; esac
    done
}

# One sentence for each row of these kinds that is too old.
needs_too_old() {
    needs_rows "$1" | while read -r name kind found least; do
        [ "$(need_state "$found" "$least")" != old ] ||
            echo "$name is $(need_version "$found") on this host, and Ironwheel needs $least or newer: take a newer release of $(host_name), or put one of your own where it is found first."
    done
}
