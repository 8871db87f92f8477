/* What bench-reader.c counts with: the clock, latencies, errors, and the bytes of src/runtime/pattern.ts. */
#pragma once
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { BUCKETS = 64 * 64, VERIFY_BLOCK = 16384 };

static void fail(const char *what) {
  fprintf(stderr, "bench-reader: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *check(void *pointer, const char *what) {
  if (pointer == NULL || pointer == MAP_FAILED) fail(what);
  return pointer;
}

static int64_t now_ns(void) {
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

static void note_latency(struct result *result, uint64_t ns) {
  int shift = ns < 128 ? 0 : 57 - __builtin_clzll(ns);
  result->latencies[(size_t)shift * 64 + (ns >> shift)]++;
  result->operations++;
}

static double latency_us(const struct result *result, double share) {
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
static uint64_t verify(const unsigned char *bytes, size_t length, uint64_t offset, uint32_t seed) {
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
      fprintf(stderr, "bench-reader: wrong byte at %" PRIu64 "\n", place);
      exit(2);
    }
  }
  return sum;
}
