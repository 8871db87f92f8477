// Reads that ran into their deadline just now. When read-ahead fails, the kernel asks again for the very page that its
// reader stands at; waiting for that as long once more would double what the reader was promised. So the first read of the
// same handle and bytes that follows at once shares the end of the one before.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

#include "parked_reads.h"

namespace sluice {

class ExpiredReads {
 public:
  // The kernel repeats within microseconds; a program that tries again on purpose takes longer, or does so once more.
  static constexpr std::chrono::milliseconds kRemembered{100};

  void add(const Read& read, SteadyTime now) {
    std::lock_guard lock(mutex_);
    forget_old(now);
    entries_.push_back({read.handle, read.offset, read.offset + read.length, now + kRemembered});
    any_ = true;
  }

  // True once for each read that was added.
  bool repeats(const Read& read, SteadyTime now) {
    if (!any_) return false;
    std::lock_guard lock(mutex_);
    forget_old(now);
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      return entry.handle == read.handle && entry.start < read.offset + read.length && read.offset < entry.end;
    });
    const bool is_there = found != entries_.end();
    if (is_there) entries_.erase(found);
    any_ = !entries_.empty();
    return is_there;
  }

 private:
  struct Entry {
    uint64_t handle, start, end;
    SteadyTime until;
  };

  void forget_old(SteadyTime now) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.until < now; });
  }

  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::atomic<bool> any_{false};
};

}  // namespace sluice
