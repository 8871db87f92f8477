/* Reads places of files, timed, as one line of JSON on standard output: what the benchmarks of cold reads start, since
 * the pattern of access decides there. Started by bench-reads.ts; C for the reason that bench-reader.c gives.
 *
 *   bench-access first FILE... [--known]         open and 4 KiB from the start, of each; --known: after a stat and a pause
 *   bench-access random|gaps|backwards|two FILE [--block N] [--unaligned] [--threads N] [--count N] [--seconds S]
 *   bench-access whole|mmap FILE... [--threads N]  every byte of each, as many files at once as there are threads
 *
 * `random` takes places of one shuffled order, none twice; `gaps` goes forwards and leaves three blocks out after each,
 * `backwards` leaves none, `two` alternates between two sequential places of one handle. Each thread has a handle of its
 * own, and in all but `random` a stretch of the file. SIGTERM ends it early, with the figures so far.
 * --verify SEED compares every byte with src/runtime/pattern.ts; the seed of the n-th FILE is SEED + n.
 * Exit codes: 0; 1 something failed; 2 wrong bytes; 3 usage. */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>

#include "bench-measure.h"

enum { WHOLE_BLOCK = 1 << 20, GAP = 4, PAUSE_MS = 300 };

static char **files;
static int file_count;
static int64_t started_ns;
static struct {
  size_t block;
  int threads;
  uint64_t count;
  double seconds;
  bool unaligned, known, verify;
  uint32_t seed;
} options = {.block = 256 << 10, .threads = 1, .count = 100, .seconds = 3600};

static volatile sig_atomic_t is_stopped;
static uint64_t reads, next_place, next_file;
/* When the first and the last file of `whole` and `mmap` was read. */
static int64_t first_ns = INT64_MAX, last_ns;
static pthread_mutex_t finish_lock = PTHREAD_MUTEX_INITIALIZER;

static void stop(int signal_number) {
  (void)signal_number;
  is_stopped = 1;
}

static void read_at(int fd, unsigned char *buffer, size_t length, uint64_t offset) {
  for (size_t have = 0; have < length;) {
    ssize_t n = pread(fd, buffer + have, length - have, (off_t)(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("read");
    if (n == 0) errno = ENODATA, fail("the file ended early");
    have += (size_t)n;
  }
}

/* One timed read. The comparison is not counted. */
static void read_timed(int fd, unsigned char *buffer, uint64_t offset, struct result *result) {
  int64_t before = now_ns();
  read_at(fd, buffer, options.block, offset);
  note_latency(result, (uint64_t)(now_ns() - before));
  result->bytes += (int64_t)options.block;
  if (options.verify) result->sum += verify(buffer, options.block, offset, options.seed);
}

static bool is_over(void) {
  return is_stopped || now_ns() - started_ns > (int64_t)(options.seconds * 1e9);
}

/* mix(0) is 0, and whoever begins at the head of a file looks like one who reads all of it. */
#define FIRST_PLACE 1237

static void random_places(int index, struct result *result) {
  (void)index;
  int fd = open_file(files[0]), bits = 1;
  uint64_t places = (uint64_t)size_of(fd) / options.block - 1;
  while (UINT64_C(1) << bits < places) bits++;
  unsigned char *buffer = check(aligned_alloc(PAGE, (options.block + PAGE - 1) / PAGE * PAGE), "malloc");
  uint64_t shuffled = UINT64_C(1) << bits;
  while (!is_over() && __atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED) < options.count) {
    uint64_t at, place;
    do at = __atomic_fetch_add(&next_place, 1, __ATOMIC_RELAXED), place = mix((at + FIRST_PLACE) & (shuffled - 1), bits);
    while (place >= places && at < shuffled);
    if (at >= shuffled) break;
    uint64_t inside = options.block / 2 + 4 * (1 + mix(at & 255, 8));
    read_timed(fd, buffer, place * options.block + (options.unaligned ? inside : 0), result);
  }
  free(buffer);
  close(fd);
}

/* The offset of the n-th read within a stretch of the file. */
static uint64_t place_of(char order, uint64_t at, uint64_t stretch) {
  if (order == 'g') return at * options.block * GAP;
  if (order == 'b') return stretch - (at + 1) * options.block;
  return at / 2 * options.block + (at % 2 == 0 ? 0 : stretch / 2 / PAGE * PAGE);
}

static char order_of_places;

static void ordered_places(int index, struct result *result) {
  int fd = open_file(files[0]);
  uint64_t stretch = (uint64_t)size_of(fd) / (uint64_t)options.threads / PAGE * PAGE;
  uint64_t count = options.count / (uint64_t)options.threads;
  /* The last read of `gaps` ends at the end of its stretch; of `two`, each half is one. */
  uint64_t fits = stretch / options.block / (order_of_places == 'g' ? GAP : 1);
  if (count > fits) count = fits;
  unsigned char *buffer = check(aligned_alloc(PAGE, (options.block + PAGE - 1) / PAGE * PAGE), "malloc");
  for (uint64_t at = 0; at < count && !is_over(); at++)
    read_timed(fd, buffer, stretch * (uint64_t)index + place_of(order_of_places, at, stretch), result);
  free(buffer);
  close(fd);
}

static void first_bytes(struct result *result) {
  unsigned char buffer[PAGE];
  struct stat st;
  if (options.known) {
    for (int i = 0; i < file_count; i++)
      if (stat(files[i], &st) < 0) fail(files[i]);
    usleep(PAUSE_MS * 1000);
  }
  started_ns = now_ns();
  for (int i = 0; i < file_count; i++) {
    int64_t before = now_ns();
    int fd = open_file(files[i]);
    read_at(fd, buffer, PAGE, 0);
    note_latency(result, (uint64_t)(now_ns() - before));
    result->bytes += PAGE;
    if (options.verify) result->sum += verify(buffer, PAGE, 0, options.seed + (uint32_t)i);
    close(fd);
  }
}

static void finished(void) {
  int64_t now = now_ns();
  pthread_mutex_lock(&finish_lock);
  if (now < first_ns) first_ns = now;
  if (now > last_ns) last_ns = now;
  pthread_mutex_unlock(&finish_lock);
}

static void read_file(uint64_t at, bool is_mapped, unsigned char *buffer, struct result *result) {
  int fd = open_file(files[at]);
  uint64_t size = (uint64_t)size_of(fd), sum = 0;
  uint32_t seed = options.seed + (uint32_t)at;
  if (is_mapped) {
    const unsigned char *base = check(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0), "mmap");
    if (options.verify) sum = verify(base, size, 0, seed);
    else
      for (size_t i = 0; i + 4 <= size; i += 4) sum += *(const uint32_t *)(base + i);
    munmap((void *)base, size);
  } else
    for (uint64_t offset = 0; offset < size; offset += WHOLE_BLOCK) {
      size_t length = size - offset < WHOLE_BLOCK ? size - offset : WHOLE_BLOCK;
      read_at(fd, buffer, length, offset);
      if (options.verify) sum += verify(buffer, length, offset, seed);
    }
  result->sum += sum;
  result->bytes += (int64_t)size;
  result->operations++;
  close(fd);
  finished();
}

static void each_file(bool is_mapped, struct result *result) {
  unsigned char *buffer = check(aligned_alloc(PAGE, WHOLE_BLOCK), "malloc");
  while (!is_stopped) {
    uint64_t at = __atomic_fetch_add(&next_file, 1, __ATOMIC_RELAXED);
    if (at >= (uint64_t)file_count) break;
    read_file(at, is_mapped, buffer, result);
  }
  free(buffer);
}

static void each_by_read(int index, struct result *result) { (void)index, each_file(false, result); }
static void each_by_mmap(int index, struct result *result) { (void)index, each_file(true, result); }

static void usage(void) {
  fprintf(stderr, "usage: see the head of scripts/bench-access.c\n");
  exit(3);
}

static void parse(int argc, char **argv) {
  static const struct option known[] = {{"block", 1, 0, 'b'},   {"unaligned", 0, 0, 'u'}, {"threads", 1, 0, 't'},
                                        {"count", 1, 0, 'c'},   {"seconds", 1, 0, 's'},   {"known", 0, 0, 'k'},
                                        {"verify", 1, 0, 'v'},  {0, 0, 0, 0}};
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    if (c == 'b') options.block = strtoull(optarg, NULL, 10);
    else if (c == 'u') options.unaligned = true;
    else if (c == 't') options.threads = atoi(optarg);
    else if (c == 'c') options.count = strtoull(optarg, NULL, 10);
    else if (c == 's') options.seconds = atof(optarg);
    else if (c == 'k') options.known = true;
    else if (c == 'v') options.verify = true, options.seed = (uint32_t)strtoul(optarg, NULL, 10);
    else usage();
  }
  if (options.block < PAGE || options.block % PAGE || options.threads < 1 || options.threads > THREADS_MAX) usage();
  files = argv + optind;
  file_count = argc - optind;
  if (file_count < 1) usage();
}

int main(int argc, char **argv) {
  const char *mode = argc > 2 ? argv[1] : "";
  parse(argc - 1, argv + 1);
  signal(SIGTERM, stop);
  static struct result result;
  order_of_places = mode[0];
  started_ns = now_ns();
  if (strcmp(mode, "first") == 0) first_bytes(&result);
  else if (strcmp(mode, "random") == 0) in_threads(random_places, options.threads, &result);
  else if (strcmp(mode, "gaps") == 0 || strcmp(mode, "backwards") == 0 || strcmp(mode, "two") == 0)
    in_threads(ordered_places, options.threads, &result);
  else if (strcmp(mode, "whole") == 0) in_threads(each_by_read, options.threads, &result);
  else if (strcmp(mode, "mmap") == 0) in_threads(each_by_mmap, options.threads, &result);
  else usage();
  int64_t end = now_ns();
  print_result(&result, (double)(end - started_ns) / 1e9,
               last_ns == 0 ? 1 : (double)(last_ns - started_ns) / (double)(first_ns - started_ns));
  return 0;
}
