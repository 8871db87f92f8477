// Open file handles and how the kernel reads through each: cached, or by passthrough straight from the local file. On one
// kernel inode the two exclude each other, so the mode is decided under one lock, from the handles that live between
// their OPEN reply and their RELEASE. One backing id per inode, until its last passthrough handle is released.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>

#include "local_file.h"

namespace sluice {

enum class OpenMode : uint8_t { kGone = 0, kCached = 1, kPassthrough = 2 };

struct OpenHandle {
  std::shared_ptr<LocalFile> file;
  uint64_t node;
  OpenMode mode;
};

struct OpenDecision {
  OpenMode mode;
  int32_t backing_id;
};

class OpenFiles {
 public:
  struct Backing {
    // A backing id (positive) for the descriptor, or a negative errno.
    std::function<int(int descriptor)> open;
    std::function<void(int backing_id)> close;
    // Told once, when the kernel refuses backing files: all handles are cached from then on.
    std::function<void(int error)> on_unavailable;
  };

  explicit OpenFiles(Backing backing) : backing_(std::move(backing)) {}

  void allow_passthrough(bool allowed);

  // Adds a handle; nothing when the number is in use. `may_pass` as the caller knows it; the file must be complete, too.
  std::optional<OpenDecision> open(uint64_t handle, uint64_t node, std::shared_ptr<LocalFile> file, bool may_pass);
  // The handle that was released.
  std::optional<OpenHandle> release(uint64_t handle);

  // The file behind a handle; null when unknown.
  std::shared_ptr<LocalFile> file_of(uint64_t handle) const;

  size_t count(OpenMode mode) const;
  // Ends all of it, with no kernel to tell.
  void clear();

 private:
  struct Inode {
    uint32_t cached = 0, passthrough = 0;
    int32_t backing_id = 0;
  };
  OpenDecision decide(Inode& inode, const LocalFile& file, bool may_pass);

  const Backing backing_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<uint64_t, OpenHandle> handles_;
  std::unordered_map<uint64_t, Inode> inodes_;
  size_t cached_ = 0, passthrough_ = 0;
  bool allowed_ = false;
};

}  // namespace sluice
