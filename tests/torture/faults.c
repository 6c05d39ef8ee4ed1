/* Calls of the system that fail where they are told to, preloaded into a process: those for files in one folder, and new threads. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITES = 1, READS = 2, THREADS = 4 };

static char folder[4096], ours[1 << 16];
static int kinds, code, lasts;
static long at, calls;

/* Begins to count the calls of these kinds for files in a folder; call `first` fails with this code, and if it lasts all after it.
   A code of 0 makes a write shorter than it was asked for. */
void fault_arm(const char *name, int which, long first, int error, int all) {
    strncpy(folder, name, sizeof folder - 1);
    kinds = which, at = first, code = error, lasts = all, calls = 0;
}

long fault_calls(void) { return calls; }
void fault_own(int number) { ours[number] = 1; }

static int fails(int kind) {
    if (!(kinds & kind)) return 0;
    long number = calls++;
    return number == at || (lasts && number > at);
}

static int refused(int kind) {
    if (!fails(kind) || !code) return 0;
    errno = code;
    return 1;
}

/* Of calls that no signal interrupts. */
static int refused_for_good(int kind) { return code != EINTR && refused(kind); }

static int within(const char *name) { return folder[0] && !strncmp(name, folder, strlen(folder)); }
static int own(int number) { return number >= 0 && number < (int)sizeof ours && ours[number]; }

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int opened(int number) {
    if (number >= 0 && number < (int)sizeof ours) ours[number] = 1;
    return number;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        if (!within(path)) return real(path, flags, mode); \
        if (refused(flags & (O_WRONLY | O_RDWR | O_CREAT) || (flags & O_DIRECTORY) ? WRITES : READS)) return -1; \
        return opened(real(path, flags, mode)); \
    }
OPEN(open)
OPEN(open64)

int close(int number) {
    REAL(close);
    if (number >= 0 && number < (int)sizeof ours) ours[number] = 0;
    return real(number);
}

ssize_t write(int number, const void *data, size_t size) {
    REAL(write);
    if (own(number) && fails(WRITES)) {
        if (code) { errno = code; return -1; }
        size = size > 1 ? size / 2 : size;
    }
    return real(number, data, size);
}

ssize_t read(int number, void *data, size_t size) {
    REAL(read);
    if (own(number) && fails(READS)) {
        if (code) { errno = code; return -1; }
        size = size > 1 ? size / 2 : size;
    }
    return real(number, data, size);
}

int fsync(int number) { REAL(fsync); return own(number) && refused(WRITES) ? -1 : real(number); }
int ftruncate64(int number, off64_t size) { REAL(ftruncate64); return own(number) && refused_for_good(WRITES) ? -1 : real(number, size); }
int rename(const char *from, const char *to) { REAL(rename); return within(from) && refused_for_good(WRITES) ? -1 : real(from, to); }
int chmod(const char *path, mode_t mode) { REAL(chmod); return within(path) && refused_for_good(WRITES) ? -1 : real(path, mode); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); return within(path) && refused_for_good(WRITES) ? -1 : real(path, mode); }

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *with) {
    REAL(pthread_create);
    return refused(THREADS) ? EAGAIN : real(thread, how, run, with);
}
