// Messages of the kernel as bytes, valid ones of every operation, written from linux/fuse.h and not from request.cc: the
// fake kernel, the parser's checks and the fuzz target start from them.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "../fuse_abi.h"

namespace sluice::test {

using Bytes = std::vector<uint8_t>;

struct Shape {
  uint32_t opcode;
  // The arguments, before names and data.
  uint32_t fixed_bytes;
  // Each with its NUL: file names, then free texts.
  std::vector<std::string> names, texts;
  // Behind the names.
  uint32_t data_bytes;
  // Where in the arguments the length of the data stands (a count of 16 bytes each for BATCH_FORGET); -1 where nowhere.
  int count_at;
  bool is_answered = true;
};

// One of each operation, shortest.
const std::vector<Shape>& shapes();

// The arguments of a request of this shape, all zero but for names and counts.
Bytes body_of(const Shape& shape);
Bytes message_of(uint32_t opcode, uint64_t unique, uint64_t node, uint32_t owner, std::span<const uint8_t> body);

// Arguments of single operations.
Bytes init_body(uint32_t major, uint32_t minor, uint64_t flags);
Bytes read_body(uint64_t handle, uint64_t offset, uint32_t size);
Bytes release_body(uint64_t handle);
Bytes name_body(const std::string& name);

// Whether a successful reply to this request may have so many bytes.
bool reply_length_fits(uint32_t opcode, std::span<const uint8_t> body, size_t bytes);
// A length that fits.
uint32_t reply_length(uint32_t opcode, std::span<const uint8_t> body);

template <typename T>
void append(Bytes& bytes, const T& value) {
  const size_t at = bytes.size();
  bytes.resize(at + sizeof value);
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

}  // namespace sluice::test
