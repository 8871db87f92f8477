#include "open_files.h"

#include <sys/stat.h>

#include <cerrno>

namespace sluice {
namespace {

// The kernel reads the local file as it is: all of it must be there, and nothing more.
bool is_whole(const LocalFile& file) {
  const int fd = file.descriptor();
  if (fd < 0 || file.revoked() || file.availability.size() == 0 || !file.availability.complete()) return false;
  struct stat status;
  return ::fstat(fd, &status) == 0 && static_cast<uint64_t>(status.st_size) == file.availability.size();
}

}  // namespace

void OpenFiles::allow_passthrough(bool allowed) {
  std::unique_lock lock(mutex_);
  allowed_ = allowed;
}

std::optional<OpenDecision> OpenFiles::open(uint64_t handle, uint64_t node, std::shared_ptr<LocalFile> file,
                                            bool may_pass) {
  std::unique_lock lock(mutex_);
  if (handles_.contains(handle)) return std::nullopt;
  Inode& inode = inodes_[node];
  const OpenDecision decision = decide(inode, *file, may_pass);
  const bool passes = decision.mode == OpenMode::kPassthrough;
  ++(passes ? inode.passthrough : inode.cached);
  ++(passes ? passthrough_ : cached_);
  handles_.emplace(handle, OpenHandle{std::move(file), node, decision.mode});
  return decision;
}

OpenDecision OpenFiles::decide(Inode& inode, const LocalFile& file, bool may_pass) {
  // The kernel refuses the other mode while one is in use.
  if (inode.passthrough > 0) return {OpenMode::kPassthrough, inode.backing_id};
  if (!allowed_ || !may_pass || inode.cached > 0 || !is_whole(file)) return {OpenMode::kCached, 0};
  const int id = backing_.open(file.descriptor());
  if (id > 0) {
    inode.backing_id = id;
    return {OpenMode::kPassthrough, id};
  }
  // For want of memory or descriptors now; anything else is so for this kernel, user or file system.
  if (id == -ENOMEM || id == -EMFILE || id == -ENFILE) return {OpenMode::kCached, 0};
  allowed_ = false;
  backing_.on_unavailable(-id);
  return {OpenMode::kCached, 0};
}

std::optional<OpenHandle> OpenFiles::release(uint64_t handle) {
  std::unique_lock lock(mutex_);
  const auto found = handles_.find(handle);
  if (found == handles_.end()) return std::nullopt;
  OpenHandle released = std::move(found->second);
  handles_.erase(found);
  const auto at = inodes_.find(released.node);
  Inode& inode = at->second;
  const bool passed = released.mode == OpenMode::kPassthrough;
  --(passed ? inode.passthrough : inode.cached);
  --(passed ? passthrough_ : cached_);
  if (passed && inode.passthrough == 0) backing_.close(inode.backing_id);
  if (inode.passthrough + inode.cached == 0) inodes_.erase(at);
  return released;
}

std::shared_ptr<LocalFile> OpenFiles::file_of(uint64_t handle) const {
  std::shared_lock lock(mutex_);
  const auto found = handles_.find(handle);
  return found == handles_.end() ? nullptr : found->second.file;
}

size_t OpenFiles::count(OpenMode mode) const {
  std::shared_lock lock(mutex_);
  return mode == OpenMode::kPassthrough ? passthrough_ : cached_;
}

void OpenFiles::clear() {
  std::unique_lock lock(mutex_);
  handles_.clear();
  inodes_.clear();
  cached_ = passthrough_ = 0;
}

}  // namespace sluice
