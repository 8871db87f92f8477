/* One piece of work on files, timed, as one line of JSON on standard output: what the benchmarks start as the program
 * that reads. It is C so that the reader's own cost stays small beside what is measured, the same for every variant.
 *
 *   bench-reader read PATH [--block N] [--readers N [--split]] [--verify SEED]      --split: each reads its share
 *   bench-reader mmap PATH [--verify SEED]                            every byte, through page faults
 *   bench-reader random PATH [--threads N] [--seconds S] [--verify SEED]   4 KiB preads; none twice before all were read
 *   bench-reader stat|open DIR [--names N] [--seconds S]              open: open, read 4 KiB, close
 *   bench-reader list DIR                                             readdir, and lstat of each entry
 *   bench-reader run PROGRAM ARGS...                                  any program, its standard output thrown away
 *   bench-reader drop PATH                                            throws away what the kernel caches of PATH
 *   bench-reader make PATH --size N --verify SEED                     writes a file of the pattern (not timed)
 *   bench-reader touch --size N                                       touches and frees N bytes of fresh memory
 *
 * `drop` frees the pages of PATH itself, not those of a file behind it, and reports how many bytes stayed. --verify
 * compares every byte with src/runtime/pattern.ts, and adds them up. The clock starts before open.
 * Exit codes: 0; 1 something failed; 2 wrong bytes; 3 usage. */
#define _GNU_SOURCE
#include <dirent.h>
#include <getopt.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "bench-measure.h"

static const char *path;
/* Where the clock of this run started. */
static int64_t started_ns;
static struct {
  size_t block, size;
  int readers, threads, names;
  double seconds;
  bool split, verify;
  uint32_t seed;
} options = {.block = 1 << 20, .readers = 1, .threads = 1, .names = 10000, .seconds = 1};

/* Reports the bytes of the file's own page cache that stayed. */
static void drop_pages(struct result *result) {
  int fd = open_file(path);
  size_t size = (size_t)size_of(fd), pages = (size + PAGE - 1) / PAGE;
  if ((errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)) != 0) fail("posix_fadvise");
  unsigned char *resident = check(malloc(pages + 1), "malloc");
  void *base = check(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0), "mmap");
  if (mincore(base, size, resident) < 0) fail("mincore");
  for (size_t i = 0; i < pages; i++) result->bytes += (resident[i] & 1) * PAGE;
  munmap(base, size);
  free(resident);
  close(fd);
}

static void read_range(int fd, int64_t start, int64_t end, struct result *result) {
  unsigned char *buffer = check(aligned_alloc(PAGE, (options.block + PAGE - 1) / PAGE * PAGE), "malloc");
  while (start < end) {
    size_t want = (int64_t)options.block < end - start ? options.block : (size_t)(end - start);
    size_t have = 0;
    while (have < want) {
      ssize_t n = pread(fd, buffer + have, want - have, start + (int64_t)have);
      if (n < 0) fail("read");
      if (n == 0) errno = ENODATA, fail("the file ended early");
      have += (size_t)n;
    }
    if (options.verify) result->sum += verify(buffer, have, (uint64_t)start, options.seed);
    result->bytes += (int64_t)have;
    start += (int64_t)have;
  }
  free(buffer);
}

static void reader(int index, struct result *result) {
  int fd = open_file(path);
  int64_t size = size_of(fd), part = size / options.readers / PAGE * PAGE;
  bool last = index == options.readers - 1;
  if (options.split) read_range(fd, part * index, last ? size : part * (index + 1), result);
  else read_range(fd, 0, size, result);
  close(fd);
}

static void read_mapped(struct result *result) {
  int fd = open_file(path);
  size_t size = (size_t)size_of(fd);
  const unsigned char *base = check(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0), "mmap");
  uint64_t sum = 0;
  if (options.verify) sum = verify(base, size, 0, options.seed);
  else
    for (size_t i = 0; i + 4 <= size; i += 4) sum += *(const uint32_t *)(base + i);
  result->sum = sum;
  result->bytes = (int64_t)size;
  munmap((void *)base, size);
  close(fd);
}

/* Each thread takes every n-th place of one shuffled order of all pages: what was read before is not read again, so
 * that a page cache that was dropped does not answer. */
static void random_reader(int index, struct result *result) {
  int fd = open_file(path), bits = 1;
  uint64_t pages = (uint64_t)size_of(fd) / PAGE;
  while (UINT64_C(1) << bits < pages) bits++;
  posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  unsigned char *buffer = check(aligned_alloc(PAGE, PAGE), "malloc");
  int64_t before = now_ns(), end = before + (int64_t)(options.seconds * 1e9);
  for (uint64_t at = (uint64_t)index; before < end; at += (uint64_t)options.threads) {
    uint64_t page = mix(at & ((UINT64_C(1) << bits) - 1), bits);
    if (page >= pages) continue;
    if (pread(fd, buffer, PAGE, (off_t)(page * PAGE)) != PAGE) fail("pread");
    int64_t after = now_ns();
    note_latency(result, (uint64_t)(after - before));
    before = after;
    if (options.verify) result->sum += verify(buffer, PAGE, page * PAGE, options.seed), before = now_ns();
  }
  result->bytes = result->operations * PAGE;
  free(buffer);
  close(fd);
}

static void one_name(int directory, const char *name, bool only_stat, struct result *result) {
  struct stat st;
  char buffer[PAGE];
  int64_t before = now_ns();
  if (only_stat) {
    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0) fail(name);
  } else {
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail(name);
    ssize_t n = read(fd, buffer, PAGE);
    if (n < 0) fail(name);
    result->bytes += n;
    close(fd);
  }
  note_latency(result, (uint64_t)(now_ns() - before));
}

/* Rates of names that the kernel has seen: once around before the clock starts. */
static void each_name(bool only_stat, struct result *result) {
  DIR *directory = check(opendir(path), path);
  char **names = check(calloc((size_t)options.names, sizeof *names), "malloc");
  int count = 0;
  for (struct dirent *entry; count < options.names && (entry = readdir(directory)) != NULL;)
    if (entry->d_name[0] != '.') names[count++] = check(strdup(entry->d_name), "malloc");
  if (count == 0) errno = ENOENT, fail("the directory is empty");
  for (int i = 0; i < count; i++) one_name(dirfd(directory), names[i], only_stat, result);
  *result = (struct result){0};
  started_ns = now_ns();
  int64_t end = started_ns + (int64_t)(options.seconds * 1e9);
  for (int i = 0; now_ns() < end; i++) one_name(dirfd(directory), names[i % count], only_stat, result);
  for (int i = 0; i < count; i++) free(names[i]);
  free(names);
  closedir(directory);
}

static void list(struct result *result) {
  DIR *directory = check(opendir(path), path);
  struct stat st;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL; result->operations++)
    if (fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) fail(entry->d_name);
  closedir(directory);
}

static void run_program(char **command) {
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    int null = open("/dev/null", O_WRONLY);
    if (null < 0 || dup2(null, 1) < 0) fail("/dev/null");
    execvp(command[0], command);
    fail(command[0]);
  }
  int status;
  if (waitpid(child, &status, 0) < 0) fail("waitpid");
  if (status != 0) fprintf(stderr, "bench-reader: %s ended with status %d\n", command[0], status), exit(1);
}

static void make_file(void) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) fail(path);
  static uint32_t words[1 << 18];
  for (uint64_t at = 0; at < options.size; at += sizeof words) {
    for (size_t i = 0; i < sizeof words / 4; i++) words[i] = pattern_word(options.seed, at / 4 + i);
    size_t n = options.size - at < sizeof words ? options.size - at : sizeof words;
    if (write(fd, words, n) != (ssize_t)n) fail("write");
  }
  if (close(fd) < 0) fail("close");
}

static void touch_memory(void) {
  volatile char *bytes = check(malloc(options.size), "malloc");
  for (size_t i = 0; i < options.size; i += PAGE) bytes[i] = 1;
  free((void *)bytes);
}

static void usage(void) {
  fprintf(stderr, "usage: see the head of scripts/bench-reader.c\n");
  exit(3);
}

static void parse(int argc, char **argv) {
  static const struct option known[] = {
      {"block", 1, 0, 'b'}, {"readers", 1, 0, 'r'}, {"split", 0, 0, 'p'},  {"threads", 1, 0, 't'}, {"seconds", 1, 0, 's'},
      {"names", 1, 0, 'n'}, {"verify", 1, 0, 'v'},  {"size", 1, 0, 'z'}, {0, 0, 0, 0}};
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    if (c == 'b') options.block = strtoull(optarg, NULL, 10);
    else if (c == 'r') options.readers = atoi(optarg);
    else if (c == 'p') options.split = true;
    else if (c == 't') options.threads = atoi(optarg);
    else if (c == 's') options.seconds = atof(optarg);
    else if (c == 'n') options.names = atoi(optarg);
    else if (c == 'v') options.verify = true, options.seed = (uint32_t)strtoul(optarg, NULL, 10);
    else if (c == 'z') options.size = strtoull(optarg, NULL, 10);
    else usage();
  }
  if (options.block == 0 || options.block % 4 || options.names < 1 || options.readers < 1 ||
      options.readers > THREADS_MAX || options.threads < 1 || options.threads > THREADS_MAX)
    usage();
  path = argv[optind];
}

int main(int argc, char **argv) {
  const char *mode = argc > 2 ? argv[1] : "";
  bool runs = strcmp(mode, "run") == 0;
  if (!runs) parse(argc - 1, argv + 1);
  if (strcmp(mode, "touch") == 0) return touch_memory(), 0;
  if (!runs && path == NULL) usage();
  if (strcmp(mode, "make") == 0) return make_file(), 0;
  static struct result result;
  started_ns = now_ns();
  if (runs) run_program(argv + 2);
  else if (strcmp(mode, "drop") == 0) drop_pages(&result);
  else if (strcmp(mode, "read") == 0) in_threads(reader, options.readers, &result);
  else if (strcmp(mode, "mmap") == 0) read_mapped(&result);
  else if (strcmp(mode, "random") == 0) in_threads(random_reader, options.threads, &result);
  else if (strcmp(mode, "stat") == 0 || strcmp(mode, "open") == 0) each_name(mode[0] == 's', &result);
  else if (strcmp(mode, "list") == 0) list(&result);
  else usage();
  print_result(&result, (double)(now_ns() - started_ns) / 1e9, 1);
  return 0;
}
