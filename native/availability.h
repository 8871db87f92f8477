// Which bytes of a local file are there: the native reader of the shared memory that runtime/availability.ts describes and
// writes. Whatever `has` says was written to the file before. It stays so unless it is cleared, which raises `generation`
// before the bytes are taken out of the file: whoever loads the generation, asks `has`, reads, and finds the generation as
// it was, has read what was there.
//
// Layout (little endian): 0 uint64 contiguous bytes in the lower 48 bits, how often was cleared above them · 8 int64 arrived
// bytes · 16 int64 size · 24 int32 log2 of the page size · 28 int32 generation · 64 the bitmap, one bit per page, page p in
// bit p % 32 of 32-bit word p / 32.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice {

class Availability {
 public:
  static constexpr size_t kHeaderBytes = 64;
  static constexpr uint64_t kSizeMax = (1ull << 48) - 1;

  // `memory` is 8-byte aligned and outlives this. False from `valid` when it does not hold what it says.
  Availability(uint8_t* memory, size_t bytes) : memory_(memory), bytes_(bytes) {
    if (bytes_ < kHeaderBytes) return;
    size_ = static_cast<uint64_t>(counter(2));
    page_log2_ = static_cast<uint32_t>(word(24));
  }

  bool valid() const {
    if (bytes_ < kHeaderBytes || (reinterpret_cast<uintptr_t>(memory_) & 7) != 0) return false;
    if (page_log2_ < 12 || page_log2_ > 40 || size_ > kSizeMax) return false;
    const uint64_t words = (pages() + 31) / 32;
    return (bytes_ - kHeaderBytes) / 4 >= words;
  }

  uint64_t size() const { return size_; }
  uint64_t contiguous() const { return static_cast<uint64_t>(counter(0)) & kSizeMax; }
  uint32_t generation() const { return static_cast<uint32_t>(word(28)); }
  bool complete() const { return contiguous() == size_; }

  // Every byte of [start, end) is in the file; 0 ≤ start < end ≤ size.
  bool has(uint64_t start, uint64_t end) const {
    if (end <= contiguous()) return true;
    const uint64_t last = (end + (1ull << page_log2_) - 1) >> page_log2_;
    for (uint64_t page = start >> page_log2_; page < last;) {
      const uint64_t index = page / 32;
      const uint32_t from = static_cast<uint32_t>(page % 32);
      const uint32_t to = last - index * 32 >= 32 ? 32 : static_cast<uint32_t>(last - index * 32);
      const uint32_t upper = to == 32 ? ~0u : (1u << to) - 1;
      const uint32_t mask = upper & (~0u << from);
      if ((static_cast<uint32_t>(word(kHeaderBytes + index * 4)) & mask) != mask) return false;
      page = (index + 1) * 32;
    }
    return true;
  }

 private:
  uint64_t pages() const { return (size_ + (1ull << page_log2_) - 1) >> page_log2_; }

  // JavaScript's Atomics publish with sequential consistency; acquire is what a reader needs.
  int64_t counter(size_t index) const {
    auto* value = reinterpret_cast<int64_t*>(memory_ + index * 8);
    return std::atomic_ref<int64_t>(*value).load(std::memory_order_acquire);
  }
  int32_t word(size_t offset) const {
    auto* value = reinterpret_cast<int32_t*>(memory_ + offset);
    return std::atomic_ref<int32_t>(*value).load(std::memory_order_acquire);
  }

  uint8_t* memory_;
  size_t bytes_;
  uint64_t size_ = 0;
  uint32_t page_log2_ = 0;
};

}  // namespace sluice
