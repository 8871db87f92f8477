// A range of a file in memory, shared with every process and thread that maps it. Unmapped when the last holder lets go: a
// buffer of JavaScript, or a LocalFile whose availability lies in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace sluice {

class FileMapping {
 public:
  // [offset, offset + bytes) of the file, `offset` on a page boundary, bytes > 0. Null with `error` set to an errno: EINVAL
  // when the range is not in the file. A store into a hole is SIGBUS when the disk is full, and so is a look at what was cut
  // off afterwards: whoever maps a file has written all of it, and owns its length.
  static std::shared_ptr<FileMapping> map(int fd, uint64_t offset, size_t bytes, int& error);
  ~FileMapping();
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  FileMapping(uint8_t* data, size_t bytes) : data_(data), bytes_(bytes) {}

  uint8_t* const data_;
  const size_t bytes_;
};

// The mappings that JavaScript has, by their address. Those of this process: what one thread mapped the threads of a
// session read.
class FileMappings {
 public:
  static FileMappings& shared();

  void add(std::shared_ptr<FileMapping> mapping);
  // The one that holds this address; null when it is other memory.
  std::shared_ptr<FileMapping> holding(const void* address) const;
  void remove(const FileMapping& mapping);

 private:
  mutable std::mutex mutex_;
  std::map<const uint8_t*, std::shared_ptr<FileMapping>> mappings_;
};

}  // namespace sluice
