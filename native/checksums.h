// The CRCs by which objects are checked, at memory speed: CRC32C of each block, and CRC64NVME, which S3 computes of most
// objects. (CRC32 comes from Node's zlib.) Pure functions, usable from any thread; the machine's instructions are used
// where a look at the processor finds them, tables elsewhere.
//
// `seed` is the CRC of the bytes before, 0 at the beginning: crc32c(b, crc32c(a, 0)) is that of a followed by b.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

uint32_t crc32c(const uint8_t* bytes, size_t length, uint32_t seed);
uint64_t crc64nvme(const uint8_t* bytes, size_t length, uint64_t seed);

// The same without the processor's help (1 to 2 GB/s): what other machines use, and what tests compare with.
uint32_t crc32c_by_tables(const uint8_t* bytes, size_t length, uint32_t seed);
uint64_t crc64nvme_by_tables(const uint8_t* bytes, size_t length, uint64_t seed);

}  // namespace sluice
