#include "file_mapping.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

namespace sluice {

std::shared_ptr<FileMapping> FileMapping::map(int fd, uint64_t offset, size_t bytes, int& error) {
  const auto failed = [&error](int because) {
    error = because;
    return nullptr;
  };
  struct stat status;
  if (::fstat(fd, &status) != 0) return failed(errno);
  const auto length = static_cast<uint64_t>(status.st_size);
  if (offset > length || bytes > length - offset) return failed(EINVAL);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (memory == MAP_FAILED) return failed(errno);
  return std::shared_ptr<FileMapping>(new FileMapping(static_cast<uint8_t*>(memory), bytes));
}

FileMapping::~FileMapping() { ::munmap(data_, bytes_); }

FileMappings& FileMappings::shared() {
  // Never destroyed: threads may outlive main's end.
  static auto* mappings = new FileMappings();
  return *mappings;
}

void FileMappings::add(std::shared_ptr<FileMapping> mapping) {
  std::lock_guard lock(mutex_);
  mappings_.emplace(mapping->data(), std::move(mapping));
}

std::shared_ptr<FileMapping> FileMappings::holding(const void* address) const {
  const auto* at = static_cast<const uint8_t*>(address);
  std::lock_guard lock(mutex_);
  const auto after = mappings_.upper_bound(at);
  if (after == mappings_.begin()) return nullptr;
  const auto& mapping = std::prev(after)->second;
  return at < mapping->data() + mapping->bytes() ? mapping : nullptr;
}

void FileMappings::remove(const FileMapping& mapping) {
  std::lock_guard lock(mutex_);
  mappings_.erase(mapping.data());
}

}  // namespace sluice
