/* File operations below one folder, counted; the process dies at one of them, or it fails.

   Loaded before the C library (LD_PRELOAD). What is to happen is told by faults_set(), or by the environment when the
   process starts: FAULTS_FOLDER, FAULTS_AT (the number of the operation, from 1), FAULTS_ACTION (count, kill, tear, fail),
   FAULTS_ERROR (an errno), FAULTS_ONWARDS (1: every operation from FAULTS_AT on), FAULTS_LOG (a file that gets a line for
   each operation).

   kill: SIGKILL in place of the operation. tear: half of a write, then SIGKILL; as kill where there is nothing to halve.
   fail: the error in place of the operation, if it is one that the operation can meet (see can_meet).

   Renaming that goes past the C library (tantivy's does, by rustix) is caught with a filter of system calls, on x86-64 and
   arm64. Not seen: reading, closing, writing through memory maps, other system calls that go past the C library. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

enum action { COUNT, KILL, TEAR, FAIL };
enum kind { DATA, SIZE, SYNC, CREATE, NAME, REMOVE };
enum verdict { GO, TORN, FAILED };

static char folder[PATH_MAX];
static size_t folder_length;
static atomic_long counter;
static long at;
static enum action action;
static int error;
static int onwards;
static int log_file = -1;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static void catch_renaming(void);

void faults_set(const char *where, long number, int what, int with, int all, const char *log) {
    folder_length = 0;
    atomic_store(&counter, 0);
    at = number;
    action = what;
    error = with;
    onwards = all;
    if (log_file >= 0) close(log_file);
    log_file = log && *log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (where && *where && realpath(where, folder) == NULL) snprintf(folder, sizeof folder, "%s", where);
    if (where && *where) {
        folder_length = strlen(folder);
        catch_renaming();
    }
}

long faults_count(void) { return atomic_load(&counter); }

__attribute__((constructor)) static void from_environment(void) {
    const char *where = getenv("FAULTS_FOLDER"), *number = getenv("FAULTS_AT"), *what = getenv("FAULTS_ACTION");
    const char *with = getenv("FAULTS_ERROR"), *all = getenv("FAULTS_ONWARDS");
    enum action chosen = !what ? COUNT : !strcmp(what, "kill") ? KILL : !strcmp(what, "tear") ? TEAR : !strcmp(what, "fail") ? FAIL : COUNT;
    if (where)
        faults_set(where, number ? atol(number) : 0, chosen, with ? atoi(with) : EIO, all && *all == '1', getenv("FAULTS_LOG"));
}

static int is_below(const char *path) {
    return folder_length && !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}

/* The path of an open file, "" where it has none. */
static const char *path_of(int file, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    buffer[length < 0 ? 0 : length] = 0;
    return buffer;
}

/* A path made absolute; the folder under test is given so. */
static const char *absolute(int base, const char *path, char *buffer) {
    char start[PATH_MAX];
    if (*path == '/') return path;
    if (base == AT_FDCWD) {
        if (!getcwd(start, sizeof start)) *start = 0;
    } else {
        path_of(base, start);
    }
    if (snprintf(buffer, PATH_MAX, "%s/%s", start, path) >= PATH_MAX) *buffer = 0;
    return buffer;
}

static _Noreturn void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether an operation of this kind meets such an error on a disk that is full, or in a folder that may not be written. */
static int can_meet(enum kind kind) {
    switch (error) {
    case ENOSPC: return kind == DATA || kind == SIZE || kind == SYNC || kind == CREATE;
    case EACCES: case EPERM: case EROFS: return kind == CREATE || kind == NAME || kind == REMOVE;
    default: return 1;
    }
}

static enum verdict strike(enum kind kind, const char *name, const char *path) {
    if (!is_below(path)) return GO;
    int saved = errno;
    long number = atomic_fetch_add(&counter, 1) + 1;
    if (log_file >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%ld %d %s %s\n", number, (int)kind, name, path + folder_length);
        if (syscall(SYS_write, log_file, line, length) < 0) log_file = -1;
    }
    errno = saved;
    if (at <= 0 || number < at || (number > at && !onwards)) return GO;
    if (action == TEAR && kind == DATA) return TORN;
    if (action == KILL || action == TEAR) die();
    if (action != FAIL || !can_meet(kind)) return GO;
    errno = error;
    return FAILED;
}

static enum verdict strike_file(enum kind kind, const char *name, int file) {
    char buffer[PATH_MAX];
    return folder_length ? strike(kind, name, path_of(file, buffer)) : GO;
}

static enum verdict strike_path(enum kind kind, const char *name, int base, const char *path) {
    char buffer[PATH_MAX];
    return folder_length && path ? strike(kind, name, absolute(base, path, buffer)) : GO;
}

ssize_t write(int file, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    switch (strike_file(DATA, "write", file)) {
    case FAILED: return -1;
    case TORN: if (real(file, data, size / 2) < 2) { } die();
    default: return real(file, data, size);
    }
}

#define PWRITE(name, offset_type) \
    ssize_t name(int file, const void *data, size_t size, offset_type offset) { \
        REAL(ssize_t, #name, int, const void *, size_t, offset_type); \
        switch (strike_file(DATA, #name, file)) { \
        case FAILED: return -1; \
        case TORN: if (real(file, data, size / 2, offset) < 2) { } die(); \
        default: return real(file, data, size, offset); \
        } \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    switch (strike_file(DATA, "writev", file)) {
    case FAILED: return -1;
    case TORN: if (count && write(file, parts[0].iov_base, parts[0].iov_len / 2) < 2) { } die();
    default: return real(file, parts, count);
    }
}

/* numpy writes arrays with it, and what it calls inside the C library cannot be wrapped. */
size_t fwrite(const void *data, size_t size, size_t count, FILE *stream) {
    REAL(size_t, "fwrite", const void *, size_t, size_t, FILE *);
    switch (folder_length ? strike_file(DATA, "fwrite", fileno(stream)) : GO) {
    case FAILED: return 0;
    case TORN: if (real(data, 1, size * count / 2, stream) < 2) { } fflush(stream); die();
    default: return real(data, size, count, stream);
    }
}

ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
    REAL(ssize_t, "sendfile", int, int, off_t *, size_t);
    return strike_file(DATA, "sendfile", to) == GO ? real(to, from, offset, size) : action == TEAR ? (die(), -1) : -1;
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) {
    REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t);
    return strike_file(DATA, "sendfile64", to) == GO ? real(to, from, offset, size) : action == TEAR ? (die(), -1) : -1;
}

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *offset, size_t size, unsigned flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    if (strike_file(DATA, "copy_file_range", to) == GO) return real(from, start, to, offset, size, flags);
    if (action == TEAR) die();
    return -1;
}

#define ON_FILE(kind, name) \
    int name(int file) { \
        REAL(int, #name, int); \
        return strike_file(kind, #name, file) == FAILED ? -1 : real(file); \
    }
ON_FILE(SYNC, fsync)
ON_FILE(SYNC, fdatasync)

#define TRUNCATE(name, offset_type) \
    int name(int file, offset_type size) { \
        REAL(int, #name, int, offset_type); \
        return strike_file(SIZE, #name, file) == FAILED ? -1 : real(file, size); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define ALLOCATE(name, offset_type) \
    int name(int file, offset_type start, offset_type size) { \
        REAL(int, #name, int, offset_type, offset_type); \
        return strike_file(SIZE, #name, file) == FAILED ? error : real(file, start, size); \
    }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

int fallocate(int file, int mode, off_t start, off_t size) {
    REAL(int, "fallocate", int, int, off_t, off_t);
    return strike_file(SIZE, "fallocate", file) == FAILED ? -1 : real(file, mode, start, size);
}

/* A file that is there can be opened on a full disk. */
static enum verdict strike_open(const char *name, int base, const char *path) {
    int saved = errno;
    int exists = folder_length && path && faccessat(base, path, F_OK, 0) == 0;
    errno = saved;
    return strike_path(exists ? NAME : CREATE, name, base, path);
}

/* Whether open() takes a mode. */
static int makes(int flags) { return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE; }

/* The mode, the last argument where there is one: a file may be made then, which may be struck. */
#define TAKE_MODE(name, base) \
    mode_t mode = 0; \
    if (makes(flags)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if (strike_open(name, base, path) == FAILED) return -1; \
    }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, #name, const char *, int, ...); \
        TAKE_MODE(#name, AT_FDCWD) \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int base, const char *path, int flags, ...) { \
        REAL(int, #name, int, const char *, int, ...); \
        TAKE_MODE(#name, base) \
        return real(base, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(FILE *, #name, const char *, const char *); \
        if (*mode != 'r' && strike_open(#name, AT_FDCWD, path) == FAILED) return NULL; \
        return real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* A sixth argument, which renaming does not have, tells the filter that a system call is our own. */
#define OWN 0x5e3a5eacL

static long rename_really(long call, long base, long from, long other, long to, long flags) {
    return syscall(call, base, from, other, to, flags, OWN);
}

static int rename_by(const char *name, int base, const char *from, int other, const char *to, unsigned flags) {
    if (strike_path(NAME, name, other, to) == FAILED) return -1;
    return (int)rename_really(SYS_renameat2, base, (long)from, other, (long)to, flags);
}

int rename(const char *from, const char *to) { return rename_by("rename", AT_FDCWD, from, AT_FDCWD, to, 0); }

int renameat(int base, const char *from, int other, const char *to) { return rename_by("renameat", base, from, other, to, 0); }

int renameat2(int base, const char *from, int other, const char *to, unsigned flags) {
    return rename_by("renameat2", base, from, other, to, flags);
}

#if defined(__x86_64__)
#define REGISTERS(context) ((context)->uc_mcontext.gregs)
#define RESULT REG_RAX
static const int arguments[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8};
#elif defined(__aarch64__)
#define REGISTERS(context) ((context)->uc_mcontext.regs)
#define RESULT 0
static const int arguments[] = {0, 1, 2, 3, 4};
#endif

#ifdef RESULT
/* In place of a renaming that went past the C library. */
static void renaming(int signal, siginfo_t *told, void *context) {
    (void)signal;
    int saved = errno;
    long given[5];
    for (int number = 0; number < 5; number++) given[number] = (long)REGISTERS((ucontext_t *)context)[arguments[number]];
    long flags = told->si_syscall == SYS_renameat2 ? given[4] : 0;
    int done = rename_by("renameat", (int)given[0], (const char *)given[1], (int)given[2], (const char *)given[3], (unsigned)flags);
    REGISTERS((ucontext_t *)context)[RESULT] = done < 0 ? -errno : done;
    errno = saved;
}

static void catch_renaming(void) {
    static int is_set;
    if (is_set++) return;
    struct sigaction action = {.sa_sigaction = renaming, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSYS, &action, NULL);
    struct sock_filter lines[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog filter = {.len = sizeof lines / sizeof *lines, .filter = lines};
    /* Where it is forbidden, such renaming is not seen. */
    if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
}
#else
static void catch_renaming(void) {}
#endif

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return strike_path(REMOVE, "unlink", AT_FDCWD, path) == FAILED ? -1 : real(path);
}

int unlinkat(int base, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    return strike_path(REMOVE, "unlinkat", base, path) == FAILED ? -1 : real(base, path, flags);
}

int link(const char *from, const char *to) {
    REAL(int, "link", const char *, const char *);
    return strike_path(CREATE, "link", AT_FDCWD, to) == FAILED ? -1 : real(from, to);
}

int linkat(int base, const char *from, int other, const char *to, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    return strike_path(CREATE, "linkat", other, to) == FAILED ? -1 : real(base, from, other, to, flags);
}

int symlink(const char *target, const char *path) {
    REAL(int, "symlink", const char *, const char *);
    return strike_path(CREATE, "symlink", AT_FDCWD, path) == FAILED ? -1 : real(target, path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return strike_path(CREATE, "mkdir", AT_FDCWD, path) == FAILED ? -1 : real(path, mode);
}

int mkdirat(int base, const char *path, mode_t mode) {
    REAL(int, "mkdirat", int, const char *, mode_t);
    return strike_path(CREATE, "mkdirat", base, path) == FAILED ? -1 : real(base, path, mode);
}

int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    return strike_path(REMOVE, "rmdir", AT_FDCWD, path) == FAILED ? -1 : real(path);
}

/* Its memory is a file's, which it does not tell. Counted as of the folder: nothing else of the process is mapped so. */
int msync(void *start, size_t size, int flags) {
    REAL(int, "msync", void *, size_t, int);
    return folder_length && strike(SYNC, "msync", folder) == FAILED ? -1 : real(start, size, flags);
}
