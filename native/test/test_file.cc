#include "test_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "../file_range.h"
#include "check.h"

namespace sluice::test {
namespace {

uint64_t pages_of(uint64_t bytes) { return (bytes + TestFile::kPageBytes - 1) / TestFile::kPageBytes; }

}  // namespace

SharedAvailability::SharedAvailability(uint64_t size)
    : size_(size),
      pages_(pages_of(size)),
      bytes_(Availability::kHeaderBytes + (pages_ + 31) / 32 * 4),
      memory_(new uint8_t[bytes_](), std::default_delete<uint8_t[]>()) {
  std::memcpy(memory() + 16, &size_, 8);
  const int32_t page_log2 = std::countr_zero(kPageBytes);
  std::memcpy(memory() + 24, &page_log2, 4);
}

std::atomic_ref<uint32_t> SharedAvailability::word_of(uint64_t page) const {
  return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(memory() + Availability::kHeaderBytes + page / 32 * 4));
}

std::atomic_ref<uint64_t> SharedAvailability::prefix() const {
  return std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(memory()));
}

void SharedAvailability::publish(uint64_t start, uint64_t end) {
  CHECK(start % kPageBytes == 0 && start < end && end <= size_);
  const uint64_t end_page = end == size_ ? pages_ : end / kPageBytes;
  for (uint64_t page = start / kPageBytes; page < end_page; ++page) word_of(page).fetch_or(1u << (page % 32));
  advance(start, end);
}

void SharedAvailability::clear(uint64_t start, uint64_t end) {
  CHECK(start % kPageBytes == 0 && (end % kPageBytes == 0 || end == size_) && start < end && end <= size_);
  for (uint64_t page = start / kPageBytes; page < (end + kPageBytes - 1) / kPageBytes; ++page)
    word_of(page).fetch_and(~(1u << (page % 32)));
  uint64_t seen = prefix().load();
  const auto lowered = [&] {
    const uint64_t bytes = seen & Availability::kSizeMax;
    return seen + Availability::kSizeMax + 1 - bytes + std::min(bytes, start);
  };
  while (!prefix().compare_exchange_weak(seen, lowered())) continue;
  std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(memory() + 28)).fetch_add(1);
}

void SharedAvailability::advance(uint64_t start, uint64_t end) {
  for (;;) {
    uint64_t seen = prefix().load();
    const uint64_t bytes = seen & Availability::kSizeMax;
    uint64_t reached = start <= bytes ? std::max(bytes, end) : bytes;
    reached = std::max(reached, std::min(first_missing_page(reached / kPageBytes) * kPageBytes, size_));
    if (reached == bytes) return;
    prefix().compare_exchange_strong(seen, seen + reached - bytes);
  }
}

uint64_t SharedAvailability::first_missing_page(uint64_t from) const {
  while (from < pages_ && (word_of(from).load() >> (from % 32) & 1) != 0) ++from;
  return from;
}

TestFile::TestFile(uint64_t seed, uint64_t size)
    : seed_(seed), availability_(size), filled_(pages_of(size)), fd_(::memfd_create("sluice-test", MFD_CLOEXEC)) {
  CHECK(fd_ >= 0);
  local_ = LocalFiles::shared().open(availability_.memory(), availability_.bytes(), availability_.keep_alive());
  CHECK(local_ != nullptr);
  CHECK(local_->attach(fd_) == 0);
}

TestFile::~TestFile() {
  close();
  ::close(fd_);
}

uint8_t TestFile::byte_at(uint64_t offset) const {
  return static_cast<uint8_t>(mix(seed_ + offset / 8) >> (offset % 8 * 8));
}

std::vector<uint8_t> TestFile::bytes_at(uint64_t offset, size_t length) const {
  std::vector<uint8_t> bytes(length);
  for (size_t at = 0; at < length; ++at) bytes[at] = byte_at(offset + at);
  return bytes;
}

void TestFile::check_bytes(uint64_t offset, std::span<const uint8_t> bytes) const {
  uint64_t word = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    const uint64_t position = offset + at;
    if (at == 0 || position % 8 == 0) word = mix(seed_ + position / 8);
    const auto expected = static_cast<uint8_t>(word >> (position % 8 * 8));
    CHECK(bytes[at] == expected, "byte " << position << " of " << size() << " is " << int{bytes[at]} << ", not "
                                         << int{expected} << " (read from " << offset << ", " << bytes.size() << " bytes)");
  }
}

void TestFile::write(uint64_t offset, std::span<const uint8_t> bytes) const {
  const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  CHECK(written == static_cast<ssize_t>(bytes.size()));
}

void TestFile::fill(uint64_t start, uint64_t end) {
  CHECK(start < end && end <= size());
  auto bytes = bytes_at(start, end - start);
  for (uint8_t& byte : bytes) byte ^= 0xff;
  write(start, bytes);
  for (uint8_t& byte : bytes) byte ^= 0xff;
  write(start, bytes);
  const uint64_t first_page = start / kPageBytes;
  for (uint64_t page = first_page; page < pages_of(end); ++page)
    filled_[page] = std::max(filled_[page].load(), static_cast<uint32_t>(std::min(end - page * kPageBytes, kPageBytes)));
  availability_.publish(first_page * kPageBytes, end);
}

void TestFile::punch(uint64_t start, uint64_t end) {
  availability_.clear(start, end);
  CHECK(punch_hole(fd_, start, end) == 0);
}

bool TestFile::was_filled(uint64_t start, uint64_t end) const {
  for (uint64_t page = start / kPageBytes; page < pages_of(end); ++page)
    if (filled_[page] < std::min(end - page * kPageBytes, kPageBytes)) return false;
  return true;
}

void TestFile::cut(uint64_t bytes) {
  cut_at_ = bytes;
  CHECK(::ftruncate(fd_, static_cast<off_t>(bytes)) == 0);
  cut_ = true;
}

bool TestFile::close() {
  if (closed_.exchange(true)) return false;
  LocalFiles::shared().close(local_->id);
  return true;
}

}  // namespace sluice::test
