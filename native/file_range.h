// What the system does with a file or a range of it that Node.js has no call for.
#pragma once

#include <cstdint>

namespace sluice {

// flock(2), exclusive, without waiting: 0 when it is held now, EWOULDBLOCK when another open of the file holds it, or
// another errno. Held until the last descriptor of this open is closed, which the kernel does for a process that dies.
int lock_file(int fd);

// Gives the blocks of [start, end) back to the disk; they read as zeros, the length stays. 0 or an errno.
int punch_hole(int fd, uint64_t start, uint64_t end);

// The CRC32C of [start, end) in `crc`; 0 or an errno, ENODATA when the file ends before.
int checksum_range(int fd, uint64_t start, uint64_t end, uint32_t& crc);

}  // namespace sluice
