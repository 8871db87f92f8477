#include "local_file.h"

#include <fcntl.h>

#include <cerrno>

namespace sluice {

int LocalFile::attach(int fd) {
  if (descriptor() >= 0) return EALREADY;
  const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (own < 0) return errno;
  int none = -1;
  if (descriptor_.compare_exchange_strong(none, own, std::memory_order_release)) return 0;
  ::close(own);
  return EALREADY;
}

LocalFiles& LocalFiles::shared() {
  // Never destroyed: threads may outlive main's end.
  static auto* files = new LocalFiles();
  return *files;
}

std::shared_ptr<LocalFile> LocalFiles::open(uint8_t* memory, size_t bytes, std::shared_ptr<void> keep_alive) {
  const Availability availability(memory, bytes);
  if (!availability.valid()) return nullptr;
  std::lock_guard lock(mutex_);
  do {
    ++last_;
  } while (last_ == 0 || files_.contains(last_));
  auto file = std::make_shared<LocalFile>(last_, availability, std::move(keep_alive));
  files_.emplace(last_, file);
  return file;
}

std::shared_ptr<LocalFile> LocalFiles::find(FileId id) const {
  std::lock_guard lock(mutex_);
  const auto found = files_.find(id);
  return found == files_.end() ? nullptr : found->second;
}

std::shared_ptr<LocalFile> LocalFiles::close(FileId id) {
  std::lock_guard lock(mutex_);
  const auto found = files_.find(id);
  if (found == files_.end()) return nullptr;
  auto file = std::move(found->second);
  files_.erase(found);
  file->close();
  return file;
}

}  // namespace sluice
