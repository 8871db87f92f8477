/* Loads safetensors files as their loaders do: maps each file, reads its header, then copies tensor after tensor out of
 * the mapping, in one process or several, each with one thread or several; timed, as one line of JSON. Every byte comes by
 * page faults. Started by bench-reads.ts.
 *
 *   bench-loader FILE... [--processes N] [--threads N] [--verify SEED]
 *
 * A process takes every N-th file, one after the other; its threads share the tensors of a file. --verify compares the
 * tensors with src/runtime/pattern.ts, each byte by its offset in the file; the seed of the n-th file is SEED + n.
 * Exit codes: 0; 1 something failed; 2 wrong bytes; 3 usage. */
#define _GNU_SOURCE
#include <getopt.h>
#include <sys/wait.h>

#include "bench-measure.h"

enum { TENSORS_MAX = 65536, HEADER_BYTES_MAX = 100 << 20 };

struct tensor {
  uint64_t start, end;
};

static char **files;
static int file_count;
static struct {
  int processes, threads;
  bool verify;
  uint32_t seed;
} options = {.processes = 1, .threads = 1};

/* The file whose tensors the threads take. */
static const unsigned char *base;
static struct tensor tensors[TENSORS_MAX];
static uint64_t tensor_count, next_tensor, longest;
static uint32_t file_seed;

static void malformed(const char *name) {
  fprintf(stderr, "bench-loader: %s is not a safetensors file\n", name);
  exit(1);
}

/* Places of the data in the order of the header, as offsets in the file. */
static void read_header(const char *name, uint64_t size) {
  uint64_t length;
  if (size < sizeof length) malformed(name);
  memcpy(&length, base, sizeof length);
  if (length > HEADER_BYTES_MAX || length + sizeof length > size) malformed(name);
  char *header = check(malloc(length + 1), "malloc"), *at = header;
  memcpy(header, base + sizeof length, length);
  header[length] = 0;
  tensor_count = longest = 0;
  while ((at = strstr(at, "\"data_offsets\":[")) != NULL && tensor_count < TENSORS_MAX) {
    uint64_t start, end;
    if (sscanf(at, "\"data_offsets\":[%" SCNu64 ",%" SCNu64 "]", &start, &end) != 2) malformed(name);
    struct tensor tensor = {start + length + sizeof length, end + length + sizeof length};
    if (tensor.start > tensor.end || tensor.end > size) malformed(name);
    if (tensor.end - tensor.start > longest) longest = tensor.end - tensor.start;
    tensors[tensor_count++] = tensor;
    at++;
  }
  if (tensor_count == 0) malformed(name);
  free(header);
}

static void copy_tensors(int index, struct result *result) {
  (void)index;
  unsigned char *copy = check(malloc(longest + 1), "malloc");
  for (;;) {
    uint64_t at = __atomic_fetch_add(&next_tensor, 1, __ATOMIC_RELAXED);
    if (at >= tensor_count) break;
    uint64_t length = tensors[at].end - tensors[at].start;
    memcpy(copy, base + tensors[at].start, length);
    if (options.verify) result->sum += verify(copy, length, tensors[at].start, file_seed);
    result->bytes += (int64_t)length;
    result->operations++;
  }
  free(copy);
}

static void load(int process, struct result *result) {
  for (int i = process; i < file_count; i += options.processes) {
    int fd = open_file(files[i]);
    uint64_t size = (uint64_t)size_of(fd);
    base = check(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0), "mmap");
    read_header(files[i], size);
    next_tensor = 0;
    file_seed = options.seed + (uint32_t)i;
    in_threads(copy_tensors, options.threads, result);
    munmap((void *)base, size);
    close(fd);
  }
}

/* In memory that the processes share. */
static void in_processes(struct result *total) {
  size_t bytes = (size_t)options.processes * sizeof *total;
  struct result *results =
      check(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), "mmap");
  for (int i = 0; i < options.processes; i++) {
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) load(i, &results[i]), exit(0);
  }
  for (int i = 0; i < options.processes; i++) {
    int status;
    if (wait(&status) < 0) fail("wait");
    if (status != 0) exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  for (int i = 0; i < options.processes; i++) add_result(total, &results[i]);
}

static void usage(void) {
  fprintf(stderr, "usage: see the head of scripts/bench-loader.c\n");
  exit(3);
}

int main(int argc, char **argv) {
  static const struct option known[] = {
      {"processes", 1, 0, 'p'}, {"threads", 1, 0, 't'}, {"verify", 1, 0, 'v'}, {0, 0, 0, 0}};
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    if (c == 'p') options.processes = atoi(optarg);
    else if (c == 't') options.threads = atoi(optarg);
    else if (c == 'v') options.verify = true, options.seed = (uint32_t)strtoul(optarg, NULL, 10);
    else usage();
  }
  files = argv + optind;
  file_count = argc - optind;
  if (file_count < 1 || options.processes < 1 || options.processes > THREADS_MAX || options.threads < 1 ||
      options.threads > THREADS_MAX)
    usage();
  static struct result result;
  int64_t started_ns = now_ns();
  in_processes(&result);
  print_result(&result, (double)(now_ns() - started_ns) / 1e9, 1);
  return 0;
}
