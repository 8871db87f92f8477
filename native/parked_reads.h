// Reads that wait for bytes. Whoever takes a read out answers it: by publishing, by deadline, by interrupt, by failure or
// by the end of the session, exactly one of them gets it.
//
// No wake-up is missed: a reader parks and then looks at the availability again; a publisher writes the availability and
// then calls `take_ready`. Both pass through the one lock, so whoever comes second sees what the other did. A read that was
// taken out because its bytes were there, and finds them cleared, is parked again as if it had never been taken out.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "local_file.h"

namespace sluice {

using SteadyTime = std::chrono::steady_clock::time_point;

// One READ on its way through the session.
struct Read {
  uint64_t unique;
  // Index of the descriptor to answer on.
  unsigned device;
  std::shared_ptr<LocalFile> file;
  uint64_t handle;
  uint64_t offset;
  // Cut at the end of the file.
  uint32_t length;
  uint32_t thread_id;
  SteadyTime since;
  // 0 until it was told to JavaScript, which then hears of its end.
  uint64_t id = 0;
  bool interrupted = false;

  bool available() const { return file->availability.has(offset, offset + length); }
  // Nothing is worth waiting for.
  bool in_vain() const { return file->closed() || file->revoked(); }
};

class ParkedReads {
 public:
  // How many are parked now; 0 when closed, and the read is not. `announce` runs under the lock: nobody can take the read
  // before it was told.
  template <typename Announce>
  size_t park(const Read& read, Announce announce) {
    std::lock_guard lock(mutex_);
    if (closed_) return 0;
    announce();
    reads_.push_back(read);
    const auto at = std::prev(reads_.end());
    by_id_.emplace(read.id, at);
    by_unique_.emplace(read.unique, at);
    count_.store(reads_.size(), std::memory_order_relaxed);
    return reads_.size();
  }

  std::optional<Read> take(uint64_t id);
  // Those of `file` whose bytes are there.
  std::vector<Read> take_ready(const LocalFile& file);
  std::vector<Read> take_of(const LocalFile& file);
  std::vector<Read> take_older_than(SteadyTime since);
  // Those that were interrupted and whose caller `leaves`.
  template <typename Leaves>
  std::vector<Read> take_leaving(Leaves leaves) {
    return take_where([&](const Read& read) { return read.interrupted && leaves(read.thread_id); });
  }
  // All of them; none is parked afterwards.
  std::vector<Read> close();

  // Marks the read of this request; false when it does not wait.
  bool interrupt(uint64_t unique);

  size_t size() const { return count_.load(std::memory_order_relaxed); }
  // When the longest waiting one came: not the first of the list, when that one was parked again.
  std::optional<SteadyTime> oldest() const;
  bool has_interrupted() const;

 private:
  using Position = std::list<Read>::iterator;
  template <typename Condition>
  std::vector<Read> take_where(Condition condition) {
    std::vector<Read> taken;
    std::lock_guard lock(mutex_);
    for (auto at = reads_.begin(); at != reads_.end();) {
      const auto next = std::next(at);
      if (condition(*at)) taken.push_back(remove(at));
      at = next;
    }
    return taken;
  }
  Read remove(Position at);

  mutable std::mutex mutex_;
  // In the order they were parked.
  std::list<Read> reads_;
  std::unordered_map<uint64_t, Position> by_id_;
  std::unordered_map<uint64_t, Position> by_unique_;
  std::atomic<size_t> count_{0};
  bool closed_ = false;
};

}  // namespace sluice
