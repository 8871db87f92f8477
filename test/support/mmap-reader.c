/* Reads part of a file by mmap and writes it to standard output: mmap-reader FILE OFFSET LENGTH.
 * Exit codes: 0 all written; 7 the kernel raised SIGBUS (the read behind the page fault failed); 1 anything else. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_bus_error(int signal_number) {
  (void)signal_number;
  _exit(7);
}

static int fail(const char *what) {
  perror(what);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: mmap-reader FILE OFFSET LENGTH\n"), 1;
  off_t offset = atoll(argv[2]);
  size_t length = (size_t)atoll(argv[3]);
  int fd = open(argv[1], O_RDONLY);
  if (fd < 0) return fail("open");
  struct stat st;
  if (fstat(fd, &st) < 0) return fail("fstat");
  if (offset + (off_t)length > st.st_size) return fprintf(stderr, "range beyond the file\n"), 1;
  char *base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) return fail("mmap");
  signal(SIGBUS, on_bus_error);
  /* Copied page by page first: write(2) from a page that cannot be read would answer EFAULT instead of SIGBUS. */
  static char page[65536];
  for (size_t at = 0; at < length;) {
    size_t n = length - at < sizeof page ? length - at : sizeof page;
    for (size_t i = 0; i < n; i++) page[i] = ((volatile char *)base)[offset + (off_t)at + (off_t)i];
    for (size_t done = 0; done < n;) {
      ssize_t written = write(1, page + done, n - done);
      if (written < 0) return fail("write");
      done += (size_t)written;
    }
    at += n;
  }
  return 0;
}
