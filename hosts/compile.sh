# What bootstrap compiles in, below FOLDER (hosts/sources.txt names it):
#   compile.sh headers NAME FOLDER        copies NAME's public headers to FOLDER/include
#   compile.sh zstd|zydis FOLDER FLAG…    compiles FOLDER/libzstd.a or FOLDER/libZydis.a; CC and AR name the tools
set -eu

# Where the compression library's files are: the Python package holds all of them in one.
zstd_folder() {
    if [ -f "$1/zstd/zstd/zstd.c" ]; then echo "$1/zstd/zstd"; else echo "$1/zstd/lib"; fi
}

copy_headers() {
    mkdir -p "$2/include"
    case $1 in
    zstd) cp "$(zstd_folder "$2")/zstd.h" "$(zstd_folder "$2")/zstd_errors.h" "$2/include/" ;;
    zydis) cp -R "$2/zydis/include/Zydis" "$2/include/" ;;
    zycore) cp -R "$2/zycore/include/Zycore" "$2/include/" ;;
    esac
    : >"$2/$1/headers"
}

# compile_library LIBRARY FOLDER FLAG…: of $sources, as many at once as there are cores.
compile_library() {
    library=$1 folder=$2 objects=$2/obj-$1.$$
    shift 2
    rm -rf "$objects"
    mkdir -p "$objects"
    for source in $sources; do
        name=$(echo "${source#"$folder"/}" | tr / _)
        "$CC" "$@" -c -o "$objects/$name.o" "$source" &
        running="$running $!"
        [ "$(echo "$running" | wc -w)" -lt "$cores" ] || wait_oldest
    done
    while [ -n "$running" ]; do wait_oldest; done
    "$AR" rcD "$objects/$library" "$objects"/*.o
    mv "$objects/$library" "$folder/$library"
    rm -rf "$objects"
}

wait_oldest() {
    # shellcheck disable=SC2086
    set -- $running
    wait "$1" || exit 1
    shift
    running=$*
}

what=$1 running="" cores=$(getconf _NPROCESSORS_ONLN)
case $what in
headers) copy_headers "$2" "$3" ;;
zstd)
    folder=$2 headers=$(zstd_folder "$2") hidden='__attribute__((visibility("hidden")))'
    shift 2
    sources=$headers/zstd.c
    [ -f "$sources" ] || sources=$(ls "$headers"/common/*.c "$headers"/compress/*.c "$headers"/decompress/*.[cS])
    compile_library libzstd.a "$folder" "$@" -I "$headers" -DZSTD_MULTITHREAD -DZSTD_LEGACY_SUPPORT=0 -DZSTDLIB_VISIBLE="$hidden" -DZSTDERRORLIB_VISIBLE="$hidden" ;;
zydis)
    folder=$2
    shift 2
    sources=$(ls "$folder"/zydis/src/*.c "$folder"/zycore/src/*.c "$folder"/zycore/src/API/*.c)
    compile_library libZydis.a "$folder" "$@" -I "$folder/include" -I "$folder/zydis/src" -DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD ;;
esac
