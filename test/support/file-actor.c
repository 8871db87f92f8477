/* Does with files what a test tells it, one line at a time: opens, maps, reads, closes; keeps descriptors and mappings in
 * numbered slots in between. A process of its own, since who serves a mount must not use it.
 *
 *   open SLOT plain|direct PATH · map SLOT MAP · read SLOT OFFSET LENGTH · copy MAP OFFSET LENGTH · close SLOT · unmap MAP
 *
 * Answers one line each: `ok BYTES` and so many bytes, `errno NUMBER`, or for a page that cannot be had `bus`. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 16, BYTES_MAX = 1 << 20 };

static int descriptors[SLOTS];
static struct {
  char *base;
  size_t length;
} maps[SLOTS];
static char *buffer;
static sigjmp_buf no_page;

static void on_bus_error(int signal_number) {
  (void)signal_number;
  siglongjmp(no_page, 1);
}

static void answer(long result) {
  if (result < 0) {
    printf("errno %d\n", errno);
  } else {
    printf("ok %ld\n", result);
    fwrite(buffer, 1, (size_t)result, stdout);
  }
  fflush(stdout);
}

static long open_file(int slot, const char *mode, const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | (strcmp(mode, "direct") == 0 ? O_DIRECT : 0));
  if (fd < 0) return -1;
  descriptors[slot] = fd;
  /* One page a request: what is read ahead may not be there yet. */
  return posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) == 0 ? 0 : -1;
}

static long map_file(int slot, int map) {
  struct stat st;
  if (fstat(descriptors[slot], &st) < 0) return -1;
  maps[map].length = (size_t)st.st_size;
  maps[map].base = mmap(NULL, maps[map].length, PROT_READ, MAP_SHARED, descriptors[slot], 0);
  if (maps[map].base == MAP_FAILED) return -1;
  return madvise(maps[map].base, maps[map].length, MADV_RANDOM);
}

static long copy_map(int map, long offset, long length) {
  for (long at = 0; at < length; at++) buffer[at] = ((volatile char *)maps[map].base)[offset + at];
  return length;
}

int main(void) {
  char line[4096], verb[16], word[16], path[4000];
  long a, b, c;
  if (posix_memalign((void **)&buffer, 4096, BYTES_MAX) != 0) return 1;
  signal(SIGBUS, on_bus_error);
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "%15s", verb) != 1) return 1;
    if (sigsetjmp(no_page, 1) != 0) {
      printf("bus\n");
      fflush(stdout);
    } else if (strcmp(verb, "open") == 0 && sscanf(line, "%*s %ld %15s %3999[^\n]", &a, word, path) == 3) {
      answer(open_file((int)a, word, path));
    } else if (strcmp(verb, "map") == 0 && sscanf(line, "%*s %ld %ld", &a, &b) == 2) {
      answer(map_file((int)a, (int)b));
    } else if (strcmp(verb, "read") == 0 && sscanf(line, "%*s %ld %ld %ld", &a, &b, &c) == 3 && c <= BYTES_MAX) {
      answer(pread(descriptors[a], buffer, (size_t)c, b));
    } else if (strcmp(verb, "copy") == 0 && sscanf(line, "%*s %ld %ld %ld", &a, &b, &c) == 3 && c <= BYTES_MAX) {
      answer(copy_map((int)a, b, c));
    } else if (strcmp(verb, "close") == 0 && sscanf(line, "%*s %ld", &a) == 1) {
      answer(close(descriptors[a]));
    } else if (strcmp(verb, "unmap") == 0 && sscanf(line, "%*s %ld", &a) == 1) {
      answer(munmap(maps[a].base, maps[a].length));
    } else {
      fprintf(stderr, "file-actor: cannot do: %s", line);
      return 1;
    }
  }
  return 0;
}
