/* Lets the n-th write to the ratings' database fail, as a full or broken disk would: preloaded before the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long left = 0; /* calls until one fails; 0: none does */
static long failed = 0;

void failing_arm(long n) { left = n; failed = 0; }
long failing_count(void) { return failed; }

static int of_database(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "ratings.db") != NULL;
}

static int fails(int relevant) {
    if (!relevant || left == 0) return 0;
    if (--left > 0) return 0;
    failed++;
    errno = failed % 2 ? EIO : ENOSPC;
    return 1;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { REAL(pwrite); return fails(of_database(fd)) ? -1 : real(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { REAL(pwrite64); return fails(of_database(fd)) ? -1 : real(fd, data, size, at); }
ssize_t write(int fd, const void *data, size_t size) { REAL(write); return fails(of_database(fd)) ? -1 : real(fd, data, size); }
int fsync(int fd) { REAL(fsync); return fails(of_database(fd)) ? -1 : real(fd); }
int fdatasync(int fd) { REAL(fdatasync); return fails(of_database(fd)) ? -1 : real(fd); }
int ftruncate(int fd, off_t size) { REAL(ftruncate); return fails(of_database(fd)) ? -1 : real(fd, size); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); return fails(of_database(fd)) ? -1 : real(fd, size); }
int unlink(const char *path) { REAL(unlink); return fails(strstr(path, "ratings.db") != NULL) ? -1 : real(path); }
