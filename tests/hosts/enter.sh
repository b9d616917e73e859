#!/bin/sh
# enter.sh ROOT COMMAND…: runs COMMAND in the system below ROOT as on a machine of its own: root, its own processes and mounts, this host's network.
# IW_ENTER_SHARE names a folder that stands read-only at /share there. A sandbox can be made inside, as in no plain chroot. Needs root.
set -eu
[ $# -ge 2 ] || { echo "usage: enter.sh ROOT COMMAND..." >&2; exit 2; }
exec unshare --mount --pid --fork --kill-child --propagation private -- sh -ec '
    root=$1
    shift
    mount --bind "$root" "$root"
    [ -z "${IW_ENTER_SHARE:-}" ] || { mkdir -p "$root/share"; mount --bind -o ro "$IW_ENTER_SHARE" "$root/share"; }
    mount -t proc none "$root/proc"
    for name in dev sys; do mount --rbind "/$name" "$root/$name"; done
    mkdir -p "$root/.outside"
    cd "$root"
    pivot_root . .outside
    umount -l /.outside
    cd /root
    exec env -i HOME=/root LANG=C.UTF-8 TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} ${PIP_CERT:+PIP_CERT="$PIP_CERT"} ${SSL_CERT_FILE:+SSL_CERT_FILE="$SSL_CERT_FILE"} "$@"
' enter "$@"
