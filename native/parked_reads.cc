#include "parked_reads.h"

namespace sluice {

Read ParkedReads::remove(Position at) {
  Read read = std::move(*at);
  by_id_.erase(read.id);
  by_unique_.erase(read.unique);
  reads_.erase(at);
  count_.store(reads_.size(), std::memory_order_relaxed);
  return read;
}

std::optional<Read> ParkedReads::take(uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return std::nullopt;
  return remove(found->second);
}

std::vector<Read> ParkedReads::take_ready(const LocalFile& file) {
  return take_where([&](const Read& read) { return read.file.get() == &file && read.available(); });
}

std::vector<Read> ParkedReads::take_of(const LocalFile& file) {
  return take_where([&](const Read& read) { return read.file.get() == &file; });
}

std::vector<Read> ParkedReads::take_older_than(SteadyTime since) {
  return take_where([&](const Read& read) { return read.since <= since; });
}

std::vector<Read> ParkedReads::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  return take_where([](const Read&) { return true; });
}

bool ParkedReads::interrupt(uint64_t unique) {
  std::lock_guard lock(mutex_);
  const auto found = by_unique_.find(unique);
  if (found == by_unique_.end()) return false;
  found->second->interrupted = true;
  return true;
}

std::optional<SteadyTime> ParkedReads::oldest() const {
  std::lock_guard lock(mutex_);
  std::optional<SteadyTime> oldest;
  for (const Read& read : reads_)
    if (!oldest || read.since < *oldest) oldest = read.since;
  return oldest;
}

bool ParkedReads::has_interrupted() const {
  std::lock_guard lock(mutex_);
  for (const Read& read : reads_)
    if (read.interrupted) return true;
  return false;
}

}  // namespace sluice
