// All polynomials here are reflected, as both CRCs take bytes with the lowest bit first: the highest bit of a word is the
// coefficient of x^0. Modulo the polynomial a message is a number, and appending n bits multiplies it by x^n.
#include "checksums.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "words are loaded as they lie in memory");

constexpr uint32_t kCrc32cPolynomial = 0x82f63b78;
constexpr uint64_t kCrc64NvmePolynomial = 0x9a6c9329ac4bc9b5;

inline uint64_t load(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

template <typename Word>
using Tables = std::array<std::array<Word, 256>, 8>;

// Table k says what a byte adds to the CRC when k bytes follow it.
template <typename Word>
constexpr Tables<Word> make_tables(Word polynomial) {
  Tables<Word> tables{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    Word crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ polynomial : crc >> 1;
    tables[0][byte] = crc;
  }
  for (size_t follow = 1; follow < 8; ++follow)
    for (unsigned byte = 0; byte < 256; ++byte) {
      const Word before = tables[follow - 1][byte];
      tables[follow][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  return tables;
}

constexpr Tables<uint32_t> kCrc32cTables = make_tables(kCrc32cPolynomial);
constexpr Tables<uint64_t> kCrc64NvmeTables = make_tables(kCrc64NvmePolynomial);

// Eight bytes at a time. `state` is the CRC without its inversions.
template <typename Word>
Word by_tables(const Tables<Word>& tables, const uint8_t* at, size_t length, Word state) {
  const uint8_t* const end = at + length;
  for (; end - at >= 8; at += 8) {
    const uint64_t word = load(at) ^ state;
    state = 0;
    for (unsigned byte = 0; byte < 8; ++byte) state ^= tables[7 - byte][(word >> (8 * byte)) & 0xff];
  }
  for (; at < end; ++at) state = (state >> 8) ^ tables[0][(state ^ *at) & 0xff];
  return state;
}

#if defined(__x86_64__)

template <typename Word>
constexpr Word times_x(Word value, Word polynomial) {
  return (value & 1) != 0 ? (value >> 1) ^ polynomial : value >> 1;
}

// x^exponent modulo the polynomial, step by step: for constants.
template <typename Word>
constexpr Word power_of_x(uint64_t exponent, Word polynomial) {
  Word power = Word{1} << (sizeof(Word) * 8 - 1);
  for (uint64_t done = 0; done < exponent; ++done) power = times_x(power, polynomial);
  return power;
}

// The CRC32C instruction takes 8 bytes per cycle but answers after three: three lanes keep it busy. Each is the CRC of
// bytes that others follow, so the first two are multiplied by x^(8 × what follows). A product of two reflected 32-bit
// words, read as a 64-bit one, is x times theirs, and the instruction multiplies by x^32: hence the exponents less 33.
template <size_t lane_bytes>
__attribute__((target("sse4.2,pclmul"))) uint64_t crc32c_lanes(const uint8_t*& at, const uint8_t* end, uint64_t state) {
  constexpr uint32_t by_one = power_of_x(8 * lane_bytes - 33, kCrc32cPolynomial);
  constexpr uint32_t by_two = power_of_x(16 * lane_bytes - 33, kCrc32cPolynomial);
  const __m128i factors = _mm_set_epi64x(by_one, by_two);
  for (; end - at >= static_cast<ptrdiff_t>(3 * lane_bytes); at += 3 * lane_bytes) {
    uint64_t first = state, second = 0, third = 0;
    for (const uint8_t* word = at; word < at + lane_bytes; word += 8) {
      first = _mm_crc32_u64(first, load(word));
      second = _mm_crc32_u64(second, load(word + lane_bytes));
      third = _mm_crc32_u64(third, load(word + 2 * lane_bytes));
    }
    const __m128i lanes = _mm_set_epi64x(static_cast<int64_t>(second), static_cast<int64_t>(first));
    const __m128i moved =
        _mm_xor_si128(_mm_clmulepi64_si128(lanes, factors, 0x00), _mm_clmulepi64_si128(lanes, factors, 0x11));
    state = _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(moved))) ^ third;
  }
  return state;
}

__attribute__((target("sse4.2,pclmul"))) uint32_t crc32c_by_instruction(const uint8_t* at, size_t length, uint32_t seed) {
  const uint8_t* const end = at + length;
  uint64_t state = static_cast<uint32_t>(~seed);
  // The merge costs what 30 bytes cost; short lanes for what long ones leave.
  state = crc32c_lanes<4096>(at, end, state);
  state = crc32c_lanes<256>(at, end, state);
  for (; end - at >= 8; at += 8) state = _mm_crc32_u64(state, load(at));
  auto rest = static_cast<uint32_t>(state);
  for (; at < end; ++at) rest = _mm_crc32_u8(rest, *at);
  return ~rest;
}

constexpr size_t kFoldBytes = 16;
constexpr size_t kFolds = 8;

// Factors that move 16 bytes over `bytes` that follow: of their first word, which 8 more follow, and of their second. A
// product of two reflected 64-bit words, read as a 128-bit one, is x times theirs: hence one less.
__attribute__((target("pclmul"))) inline __m128i fold_over(size_t bytes) {
  const uint64_t first = power_of_x(8 * bytes + 64 - 1, kCrc64NvmePolynomial);
  const uint64_t second = power_of_x(8 * bytes - 1, kCrc64NvmePolynomial);
  return _mm_set_epi64x(static_cast<int64_t>(second), static_cast<int64_t>(first));
}

__attribute__((target("pclmul"))) inline __m128i folded(__m128i value, __m128i factors, __m128i next) {
  const __m128i first = _mm_clmulepi64_si128(value, factors, 0x00);
  const __m128i second = _mm_clmulepi64_si128(value, factors, 0x11);
  return _mm_xor_si128(_mm_xor_si128(first, second), next);
}

__attribute__((target("pclmul"))) inline __m128i load_fold(const uint8_t* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

// Eight accumulators of 16 bytes keep the multiplier busy. Folded, the message is 16 bytes long; tables do the rest.
__attribute__((target("pclmul"))) uint64_t crc64nvme_by_folding(const uint8_t* at, size_t length, uint64_t seed) {
  constexpr size_t kStep = kFolds * kFoldBytes;
  if (length < 2 * kStep) return crc64nvme_by_tables(at, length, seed);
  static const __m128i over_step = fold_over(kStep);
  static const __m128i over_one = fold_over(kFoldBytes);
  const uint8_t* const end = at + length;
  __m128i sums[kFolds];
  for (size_t fold = 0; fold < kFolds; ++fold) sums[fold] = load_fold(at + fold * kFoldBytes);
  sums[0] = _mm_xor_si128(sums[0], _mm_set_epi64x(0, static_cast<int64_t>(~seed)));
  for (at += kStep; end - at >= static_cast<ptrdiff_t>(kStep); at += kStep)
    for (size_t fold = 0; fold < kFolds; ++fold)
      sums[fold] = folded(sums[fold], over_step, load_fold(at + fold * kFoldBytes));
  __m128i sum = sums[0];
  for (size_t fold = 1; fold < kFolds; ++fold) sum = folded(sum, over_one, sums[fold]);
  for (; end - at >= static_cast<ptrdiff_t>(kFoldBytes); at += kFoldBytes) sum = folded(sum, over_one, load_fold(at));
  uint8_t message[kFoldBytes];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(message), sum);
  const uint64_t state = by_tables(kCrc64NvmeTables, message, kFoldBytes, uint64_t{0});
  return ~by_tables(kCrc64NvmeTables, at, static_cast<size_t>(end - at), state);
}

#endif

using Crc32c = uint32_t (*)(const uint8_t*, size_t, uint32_t);
using Crc64Nvme = uint64_t (*)(const uint8_t*, size_t, uint64_t);

Crc32c choose_crc32c() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) return crc32c_by_instruction;
#endif
  return crc32c_by_tables;
}

Crc64Nvme choose_crc64nvme() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("pclmul")) return crc64nvme_by_folding;
#endif
  return crc64nvme_by_tables;
}

}  // namespace

uint32_t crc32c_by_tables(const uint8_t* bytes, size_t length, uint32_t seed) {
  return ~by_tables(kCrc32cTables, bytes, length, ~seed);
}

uint64_t crc64nvme_by_tables(const uint8_t* bytes, size_t length, uint64_t seed) {
  return ~by_tables(kCrc64NvmeTables, bytes, length, ~seed);
}

uint32_t crc32c(const uint8_t* bytes, size_t length, uint32_t seed) {
  static const Crc32c best = choose_crc32c();
  return best(bytes, length, seed);
}

uint64_t crc64nvme(const uint8_t* bytes, size_t length, uint64_t seed) {
  static const Crc64Nvme best = choose_crc64nvme();
  return best(bytes, length, seed);
}

}  // namespace sluice
