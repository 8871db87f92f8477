// The local files that reads are answered from, registered by JavaScript and shared by every session of the process.
// A LocalFile lives until the last read of it ended, whenever it was closed; its descriptor is its own.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "availability.h"

namespace sluice {

using FileId = uint32_t;

class LocalFile {
 public:
  // `memory` keeps what `availability` looks at alive.
  LocalFile(FileId id, Availability availability, std::shared_ptr<void> memory)
      : id(id), availability(availability), memory_(std::move(memory)) {}
  ~LocalFile() {
    if (int fd = descriptor(); fd >= 0) ::close(fd);
  }
  LocalFile(const LocalFile&) = delete;
  LocalFile& operator=(const LocalFile&) = delete;

  // -1 until the file was attached; nothing is available before.
  int descriptor() const { return descriptor_.load(std::memory_order_acquire); }
  // Takes a duplicate. Returns 0 or an errno; once only.
  int attach(int fd);

  bool closed() const { return closed_.load(std::memory_order_acquire); }
  void close() { closed_.store(true, std::memory_order_release); }

  // No read of it is answered with bytes any more, whatever the availability says.
  bool revoked() const { return revoked_.load(std::memory_order_acquire); }
  void revoke() { revoked_.store(true, std::memory_order_release); }

  const FileId id;
  const Availability availability;

 private:
  std::shared_ptr<void> memory_;
  std::atomic<int> descriptor_{-1};
  std::atomic<bool> closed_{false}, revoked_{false};
};

class LocalFiles {
 public:
  // Those of this process.
  static LocalFiles& shared();

  // Null when the memory is not an availability.
  std::shared_ptr<LocalFile> open(uint8_t* memory, size_t bytes, std::shared_ptr<void> keep_alive);
  std::shared_ptr<LocalFile> find(FileId id) const;
  // The file that was closed; null when there is none.
  std::shared_ptr<LocalFile> close(FileId id);

 private:
  mutable std::mutex mutex_;
  std::unordered_map<FileId, std::shared_ptr<LocalFile>> files_;
  FileId last_ = 0;
};

}  // namespace sluice
