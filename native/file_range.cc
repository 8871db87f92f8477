#include "file_range.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "checksums.h"

namespace sluice {
namespace {

// As large as read(2) needs it to be fast, and small enough for the processor's cache: summed where it was just put.
constexpr size_t kChunkBytes = 256 * 1024;

}  // namespace

int lock_file(int fd) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

int punch_hole(int fd, uint64_t start, uint64_t end) {
  const auto bytes = static_cast<off_t>(end - start);
  while (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(start), bytes) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

int checksum_range(int fd, uint64_t start, uint64_t end, uint32_t& crc) {
  const size_t chunk_bytes = std::min<uint64_t>(kChunkBytes, end - start);
  const std::unique_ptr<uint8_t[]> chunk(new uint8_t[chunk_bytes]);
  crc = 0;
  while (start < end) {
    const ssize_t count = ::pread(fd, chunk.get(), std::min<uint64_t>(chunk_bytes, end - start), static_cast<off_t>(start));
    if (count == 0) return ENODATA;
    if (count > 0) {
      crc = crc32c(chunk.get(), static_cast<size_t>(count), crc);
      start += static_cast<uint64_t>(count);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace sluice
