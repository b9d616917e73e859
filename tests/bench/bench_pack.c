/* bench_pack FOLDER FILE LEVEL: packs a folder as a bundle is packed, for tests/bench/bench.py. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/archive.h"

int main(int argc, char **argv)
{
    iw_error err = IW_ERROR_INIT;
    iw_packed packed;
    if (argc != 4) return 2;
    int fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
    iw_packing packing = {.level = atoi(argv[3]), .long_window = true, .prefix = "env"};
    if (fd < 0 || iw_archive_pack(argv[1], fd, &packing, &packed, &err) != 0) {
        fprintf(stderr, "%s\n", iw_error_text(&err));
        return 1;
    }
    return close(fd) != 0;
}
