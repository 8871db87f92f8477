// Reads that ran into their deadline just now. Processes that want the same page wait for each other in the kernel: each in
// turn asks for it again, within microseconds of the failure of the one before, as does the reader whose read-ahead
// failed. Waiting anew every time would make the last of them wait for the sum of all deadlines. So a read that comes so
// soon shares that end, whoever asks, and the next may follow it; but not for ever: a program that tries again on
// purpose gets a wait of its own. src/file/expired-ranges.ts is the same for reads that JavaScript answers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

#include "parked_reads.h"

namespace sluice {

class ExpiredReads {
 public:
  // From one end to the next: the kernel goes on within microseconds, a busy machine within some milliseconds.
  static constexpr std::chrono::milliseconds kShared{100};
  // From the deadline on, however many share it: thousands of waiting processes, and no delay that a person notices.
  static constexpr std::chrono::milliseconds kSharedMax{1'000};

  void add(const Read& read, SteadyTime now) {
    std::lock_guard lock(mutex_);
    forget_old(now);
    entries_.push_back({read.file->id, read.offset, read.offset + read.length, now + kShared, now + kSharedMax});
  }

  // True for a read of bytes that were waited for in vain and are still missing. Of what lies outside of both ranges
  // nothing is known: nobody waited for it.
  bool share(const Read& read, SteadyTime now) {
    std::lock_guard lock(mutex_);
    forget_old(now);
    bool shares = false;
    for (Entry& entry : entries_) {
      if (entry.file != read.file->id) continue;
      const uint64_t start = std::max(entry.start, read.offset);
      const uint64_t end = std::min(entry.end, read.offset + read.length);
      if (start >= end || read.file->availability.has(start, end)) continue;
      entry.until = std::min(now + kShared, entry.until_max);
      shares = true;
    }
    return shares;
  }

 private:
  struct Entry {
    FileId file;
    uint64_t start, end;
    SteadyTime until, until_max;
  };

  void forget_old(SteadyTime now) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.until < now; });
  }

  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace sluice
