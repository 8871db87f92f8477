/* What the programs of the benchmarks that read (bench-reader.c, bench-access.c, bench-loader.c) count with: the clock,
 * latencies, threads, errors, one line of JSON, and the bytes of src/runtime/pattern.ts. Not every one uses it all. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUCKETS = 64 * 64, VERIFY_BLOCK = 16384, PAGE = 4096, THREADS_MAX = 64 };

static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
  exit(1);
}

static inline void *check(void *pointer, const char *what) {
  if (pointer == NULL || pointer == MAP_FAILED) fail(what);
  return pointer;
}

static inline int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* What a run came to; a thread's own until they are added up. */
struct result {
  int64_t bytes, operations;
  uint64_t sum;
  /* Latencies by their power of two, each in 64 steps: off by 1.6 % at most. */
  uint32_t latencies[BUCKETS];
};

static inline void note_latency(struct result *result, uint64_t ns) {
  int shift = ns < 128 ? 0 : 57 - __builtin_clzll(ns);
  result->latencies[(size_t)shift * 64 + (ns >> shift)]++;
  result->operations++;
}

static inline double latency_us(const struct result *result, double share) {
  uint64_t rank = (uint64_t)((double)result->operations * share), seen = 0;
  for (size_t i = 0; i < BUCKETS; i++)
    if ((seen += result->latencies[i]) > rank) {
      size_t shift = i < 128 ? 0 : i / 64 - 1;
      return (double)((i - shift * 64) << shift) / 1e3;
    }
  return 0;
}

/* The pattern: the finalizer of MurmurHash3 over the index of the word and the seed. */
static inline uint32_t pattern_word(uint32_t seed, uint64_t index) {
  uint32_t h = (uint32_t)index ^ (seed + (uint32_t)(index >> 32)) * 0x9e3779b1u;
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

/* Whole words at once; `offset` is a multiple of 4, as all blocks but the last of a file are. The sum is of 32-bit
 * words and depends on no order, so that it is the same however the file was read. */
static inline uint64_t verify(const unsigned char *bytes, size_t length, uint64_t offset, uint32_t seed) {
  uint64_t sum = 0;
  for (size_t at = 0; at < length; at += VERIFY_BLOCK) {
    size_t n = length - at < VERIFY_BLOCK ? length - at : VERIFY_BLOCK;
    uint32_t difference = 0;
    for (size_t i = 0; i + 4 <= n; i += 4) {
      uint32_t word;
      memcpy(&word, bytes + at + i, 4);
      difference |= word ^ pattern_word(seed, (offset + at + i) / 4);
      sum += word;
    }
    for (size_t i = 0; i < n && (difference != 0 || i >= n / 4 * 4); i++) {
      uint64_t place = offset + at + i;
      unsigned char right = (unsigned char)(pattern_word(seed, place / 4) >> place % 4 * 8);
      if (bytes[at + i] == right) continue;
      fprintf(stderr, "%s: wrong byte at %" PRIu64 "\n", program_invocation_short_name, place);
      exit(2);
    }
  }
  return sum;
}

/* A fixed shuffle of the numbers below 2^bits. */
static inline uint64_t mix(uint64_t x, int bits) {
  uint64_t mask = (UINT64_C(1) << bits) - 1;
  for (int round = 0; round < 3; round++) {
    x = x * UINT64_C(0x9e3779b97f4a7c15) & mask;
    x ^= x >> (bits / 2 + 1);
  }
  return x;
}

static inline int open_file(const char *name) {
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(name);
  return fd;
}

static inline int64_t size_of(int fd) {
  struct stat st;
  if (fstat(fd, &st) < 0) fail("fstat");
  return st.st_size;
}

static inline void add_result(struct result *total, const struct result *one) {
  total->bytes += one->bytes;
  total->operations += one->operations;
  total->sum += one->sum;
  for (size_t bucket = 0; bucket < BUCKETS; bucket++) total->latencies[bucket] += one->latencies[bucket];
}

typedef void (*worker_function)(int index, struct result *result);
struct worker {
  pthread_t thread;
  int index;
  worker_function work;
  struct result result;
};

static inline void *work(void *given) {
  struct worker *worker = given;
  worker->work(worker->index, &worker->result);
  return NULL;
}

static inline void in_threads(worker_function function, int count, struct result *total) {
  struct worker *workers = check(calloc((size_t)count, sizeof *workers), "malloc");
  for (int i = 0; i < count; i++) {
    workers[i].index = i;
    workers[i].work = function;
    if ((errno = pthread_create(&workers[i].thread, NULL, work, &workers[i])) != 0) fail("pthread_create");
  }
  for (int i = 0; i < count; i++) {
    if ((errno = pthread_join(workers[i].thread, NULL)) != 0) fail("pthread_join");
    const struct result *one = &workers[i].result;
    add_result(total, one);
  }
  free(workers);
}

/* `last_by_first`: of several files read at once, when the last was done ÷ when the first was; 1 without such. */
static inline void print_result(const struct result *result, double seconds, double last_by_first) {
  printf("{\"seconds\":%.6f,\"bytes\":%" PRId64 ",\"operations\":%" PRId64 ",\"p50Us\":%.2f,\"p99Us\":%.2f,"
         "\"p999Us\":%.2f,\"lastByFirst\":%.3f,\"sum\":\"%016" PRIx64 "\"}\n",
         seconds, result->bytes, result->operations, latency_us(result, 0.5), latency_us(result, 0.99),
         latency_us(result, 0.999), last_by_first, result->sum);
}
