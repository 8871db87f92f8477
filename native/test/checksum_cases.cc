// The CRCs beside a reference that goes bit by bit: every short length at every alignment, by instructions and by tables;
// continued at any place; and over lengths that use the long lanes.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "../checksums.h"
#include "cases.h"
#include "check.h"
#include "random.h"

namespace sluice::test {
namespace {

// As the catalogue of CRCs defines them: reflected, all ones before and after.
template <typename Word>
Word bit_by_bit(Word polynomial, const uint8_t* bytes, size_t length, Word seed) {
  Word crc = ~seed;
  for (size_t at = 0; at < length; ++at) {
    crc ^= bytes[at];
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ polynomial : crc >> 1;
  }
  return ~crc;
}

uint32_t crc32c_reference(const uint8_t* bytes, size_t length, uint32_t seed) {
  return bit_by_bit<uint32_t>(0x82f63b78, bytes, length, seed);
}

uint64_t crc64nvme_reference(const uint8_t* bytes, size_t length, uint64_t seed) {
  return bit_by_bit<uint64_t>(0x9a6c9329ac4bc9b5, bytes, length, seed);
}

// Bytes in memory of exactly their size, so that a sanitizer sees each read beyond them.
std::vector<uint8_t> random_bytes(Random& random, size_t length) {
  std::vector<uint8_t> bytes(length);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random.next());
  return bytes;
}

void known_values() {
  const std::string digits = "123456789";
  const auto* bytes = reinterpret_cast<const uint8_t*>(digits.data());
  CHECK(crc32c(bytes, 9, 0) == 0xe3069283 && crc32c_by_tables(bytes, 9, 0) == 0xe3069283);
  CHECK(crc64nvme(bytes, 9, 0) == 0xae8b14860a799888 && crc64nvme_by_tables(bytes, 9, 0) == 0xae8b14860a799888);
  // RFC 3720, B.4: 32 bytes of zeros, of ones, and counted up.
  std::vector<uint8_t> block(32);
  CHECK(crc32c(block.data(), 32, 0) == 0x8a9136aa);
  std::fill(block.begin(), block.end(), 0xff);
  CHECK(crc32c(block.data(), 32, 0) == 0x62a8ab43);
  for (uint8_t at = 0; at < 32; ++at) block[at] = at;
  CHECK(crc32c(block.data(), 32, 0) == 0x46dd794e);
  // The NVM Command Set Specification, 5.2.1.3.4: 4 KiB of zeros and of ones.
  std::vector<uint8_t> page(4096);
  CHECK(crc64nvme(page.data(), page.size(), 0) == 0x6482d367eb22b64e);
  std::fill(page.begin(), page.end(), 0xff);
  CHECK(crc64nvme(page.data(), page.size(), 0) == 0xc0ddba7302eca3ac);
  pass("checksums of known bytes");
}

void every_short_length(Random random) {
  constexpr size_t kLongest = 1100;
  for (size_t alignment = 0; alignment < 16; ++alignment) {
    const std::vector<uint8_t> source = random_bytes(random, kLongest);
    // The reference of each length continues that of the one before.
    uint32_t expected32 = static_cast<uint32_t>(random.next());
    uint64_t expected64 = random.next();
    const uint32_t seed32 = expected32;
    const uint64_t seed64 = expected64;
    for (size_t length = 0; length <= kLongest; ++length) {
      std::vector<uint8_t> copy(alignment + length);
      if (length > 0) std::memcpy(copy.data() + alignment, source.data(), length);
      const uint8_t* bytes = copy.data() + alignment;
      if (length > 0) {
        expected32 = crc32c_reference(bytes + length - 1, 1, expected32);
        expected64 = crc64nvme_reference(bytes + length - 1, 1, expected64);
      }
      CHECK(crc32c(bytes, length, seed32) == expected32, length << " bytes, " << alignment << " off");
      CHECK(crc32c_by_tables(bytes, length, seed32) == expected32, length << " bytes, " << alignment << " off");
      CHECK(crc64nvme(bytes, length, seed64) == expected64, length << " bytes, " << alignment << " off");
      CHECK(crc64nvme_by_tables(bytes, length, seed64) == expected64, length << " bytes, " << alignment << " off");
    }
  }
  pass("checksums of every length to 1100 at every alignment");
}

void long_and_continued(Random random) {
  // Around three lanes of 4096 bytes and multiples, and any.
  for (int run = 0; run < 60; ++run) {
    const size_t near = 3 * 4096 * random.between(1, 4);
    const size_t length = run % 2 == 0 ? near - 20 + random.below(41) : random.between(1, 60'000);
    const std::vector<uint8_t> bytes = random_bytes(random, length);
    const uint32_t expected32 = crc32c_reference(bytes.data(), length, 0);
    const uint64_t expected64 = crc64nvme_reference(bytes.data(), length, 0);
    CHECK(crc32c(bytes.data(), length, 0) == expected32 && crc64nvme(bytes.data(), length, 0) == expected64,
          length << " bytes");
    uint32_t so_far32 = 0;
    uint64_t so_far64 = 0;
    for (size_t at = 0; at < length;) {
      const size_t piece = std::min<size_t>(length - at, random.between(1, random.percent(50) ? 40 : 20'000));
      so_far32 = crc32c(bytes.data() + at, piece, so_far32);
      so_far64 = crc64nvme(bytes.data() + at, piece, so_far64);
      at += piece;
    }
    CHECK(so_far32 == expected32 && so_far64 == expected64, length << " bytes in pieces");
  }
  pass("checksums of long bytes, whole and in pieces");
}

}  // namespace

void run_checksum_cases(uint64_t seed) {
  known_values();
  every_short_length(Random(seed));
  long_and_continued(Random(seed + 1));
}

}  // namespace sluice::test
