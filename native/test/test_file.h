// A local file that fills while it is read, as the download does it: each byte says where it belongs (a function of seed
// and offset), is written, and only then published in the shared availability. Before its true bytes a range holds wrong
// ones for a moment, so that whoever reads too early is seen.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "../local_file.h"
#include "random.h"

namespace sluice::test {

// The shared memory of an Availability and its writer, after src/runtime/availability.ts: bits first, then the counter.
class SharedAvailability {
 public:
  static constexpr uint64_t kPageBytes = 4096;

  explicit SharedAvailability(uint64_t size);

  uint8_t* memory() const { return memory_.get(); }
  size_t bytes() const { return bytes_; }
  std::shared_ptr<void> keep_alive() const { return memory_; }
  uint64_t size() const { return size_; }

  // `start` lies on a page boundary; end ≤ size. Any number of threads.
  void publish(uint64_t start, uint64_t end);
  // `end` lies on a page boundary, too, or is the size. Nobody publishes these pages meanwhile.
  void clear(uint64_t start, uint64_t end);

 private:
  std::atomic_ref<uint32_t> word_of(uint64_t page) const;
  std::atomic_ref<uint64_t> prefix() const;
  void advance(uint64_t start, uint64_t end);
  uint64_t first_missing_page(uint64_t from) const;

  uint64_t size_, pages_;
  size_t bytes_;
  std::shared_ptr<uint8_t> memory_;
};

class TestFile {
 public:
  static constexpr uint64_t kPageBytes = SharedAvailability::kPageBytes;

  TestFile(uint64_t seed, uint64_t size);
  ~TestFile();
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;

  uint64_t size() const { return availability_.size(); }
  const std::shared_ptr<LocalFile>& local() const { return local_; }
  // For a check that the session let go of the file and its memory, after this object has gone.
  std::weak_ptr<void> memory() const { return availability_.keep_alive(); }

  // Writes [start, end) and publishes it; `start` on a page boundary or where the last `fill` of this page ended. A page
  // is filled by one thread.
  void fill(uint64_t start, uint64_t end);
  void fill_all() { fill(0, size()); }
  // Takes pages out of the file that were filled; nobody fills them meanwhile. They may be filled again.
  void punch(uint64_t start, uint64_t end);
  // From outside: what was published behind `bytes` is no longer there. Nobody fills meanwhile or afterwards.
  void cut(uint64_t bytes);
  // Forgets the file in the registry, as JavaScript does; true for whoever did it.
  bool close();

  // True before the first byte has gone; `is_cut` when all have. A read(2) meanwhile may see zeros: the kernel promises no more.
  bool is_being_cut() const { return cut_at_.load() != kWhole; }
  bool is_cut() const { return cut_.load(); }
  // Where; the size when it is whole.
  uint64_t cut_at() const { return std::min(cut_at_.load(), size()); }
  bool is_closed() const { return closed_.load(); }
  // That all of [start, end) was written and about to be published once, by a record of its own.
  bool was_filled(uint64_t start, uint64_t end) const;
  // Fails unless `bytes` are those from `offset` on.
  void check_bytes(uint64_t offset, std::span<const uint8_t> bytes) const;
  std::vector<uint8_t> bytes_at(uint64_t offset, size_t length) const;

 private:
  uint8_t byte_at(uint64_t offset) const;
  void write(uint64_t offset, std::span<const uint8_t> bytes) const;

  const uint64_t seed_;
  SharedAvailability availability_;
  // How far each page was ever filled.
  std::vector<std::atomic<uint32_t>> filled_;
  int fd_;
  std::shared_ptr<LocalFile> local_;
  static constexpr uint64_t kWhole = ~0ull;
  std::atomic<uint64_t> cut_at_{kWhole};
  std::atomic<bool> cut_{false}, closed_{false};
};

}  // namespace sluice::test
