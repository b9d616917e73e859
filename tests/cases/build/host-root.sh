#!/bin/sh
# host-root.sh DIR: a small toolchain root for tests, copied from this host: gcc, binutils, make, the shell and a few tools, with the
# libraries that they load and glibc's headers. Real builds never use this: theirs is unpacked from pinned packages.
set -eu
root=$1
for folder in bin sbin lib lib64; do
    mkdir -p "$root/usr/$folder"
    ln -sfn "usr/$folder" "$root/$folder"
done

# Copies a program or library to its own path, with what it loads.
take() {
    file=$(readlink -f "$1")
    [ -e "$root$file" ] && return 0
    mkdir -p "$root${file%/*}"
    cp "$file" "$root$file"
    for needed in $(ldd "$file" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'); do
        to=$root$(readlink -f "${needed%/*}")/${needed##*/}
        [ -e "$to" ] && continue
        mkdir -p "${to%/*}"
        cp -L "$needed" "$to"
    done
}

for name in bash dash sh cat cp mv rm ln ls mkdir rmdir touch chmod install env printf echo true false test expr sed grep tr cut head tail sort uniq \
    wc basename dirname pwd date sleep id uname seq tee find xargs diff cmp tar gzip patch make strip ar ranlib nm objcopy objdump readelf \
    as ld gcc cpp patchelf nproc stat sha256sum readlink realpath qemu-x86_64-static; do
    path=$(command -v "$name" 2>/dev/null) || continue
    case $path in /*) ;; *) path=/usr/bin/$name ;; esac
    [ -e "$path" ] || continue
    take "$path"
    real=$(readlink -f "$path")
    [ "$real" = "/usr/bin/$name" ] || ln -sfn "$(realpath -m --relative-to=/usr/bin "$real")" "$root/usr/bin/$name"
done

folder=$(dirname "$(gcc -print-libgcc-file-name)")
mkdir -p "$root$folder"
for name in cc1 collect2 lto-wrapper; do
    path=$(gcc -print-prog-name="$name")
    case $path in /*) take "$path" ;; esac
done
for file in "$folder"/*.o "$folder"/libgcc* "$folder"/liblto_plugin.so "$folder"/include "$folder"/libgomp* "$folder"/libssp*; do
    [ -e "$file" ] && cp -a "$file" "$root$folder/"
done
libraries=/usr/lib/x86_64-linux-gnu
mkdir -p "$root$libraries" "$root/usr/include/x86_64-linux-gnu"
for file in crt1.o crti.o crtn.o Scrt1.o rcrt1.o gcrt1.o libc.so libc_nonshared.a libc.a libm.so libmvec.so libm.a libdl.a libpthread.a librt.a libutil.a \
    libgcc_s.so.1 libm.so.6 libmvec.so.1 libc.so.6 ld-linux-x86-64.so.2 libdl.so.2 libpthread.so.0; do
    for path in "$libraries/$file" "/lib/x86_64-linux-gnu/$file"; do
        [ -e "$path" ] && [ ! -e "$root$libraries/$file" ] && cp -L "$path" "$root$libraries/$file"
    done
done
cp -a /usr/include/*.h "$root/usr/include/"
for folder in linux asm-generic; do cp -a "/usr/include/$folder" "$root/usr/include/"; done
for folder in asm bits sys gnu; do cp -a "/usr/include/x86_64-linux-gnu/$folder" "$root/usr/include/x86_64-linux-gnu/"; done
cp -a /usr/include/x86_64-linux-gnu/*.h "$root/usr/include/x86_64-linux-gnu/" 2>/dev/null || :
exit 0
