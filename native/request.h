// The request parser: one message from the kernel, checked in full before anybody looks at it. Pure; the fuzz target
// drives it alone. What passes has a body as long as its operation says, names that end and are valid, and counts that fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "fuse_abi.h"

namespace sluice {

struct Request {
  fuse::InHeader header;
  // The arguments behind the header.
  std::span<const uint8_t> body;
};

// What is known of an operation from its number alone.
struct Operation {
  // Bytes of arguments before names and data.
  uint32_t body_bytes_min;
  // Names behind them, each NUL-terminated: file names, or for `free_names` of them any text (link targets, attributes).
  uint8_t names;
  uint8_t free_names;
  // Bytes of a successful reply's body: exactly, or at most the `size` that the request asks for.
  enum class Reply : uint8_t { kNone, kFixed, kSized, kAny } reply;
  uint32_t reply_bytes;
  // May be answered EINTR while it waits, since it changes nothing.
  bool interruptible;
  bool known;
};

enum class ParseResult { kOk, kNoHeader, kWrongLength, kShortBody, kBadName, kBadCount };

// `message` is what one read(2) of the device gave. On anything but kOk and kNoHeader `request.header` is valid, so that
// the request can be answered.
ParseResult parse_request(std::span<const uint8_t> message, Request& request);

const Operation& operation_of(uint32_t opcode);

// The `size` of operations that ask for so many bytes at most.
uint32_t reply_bytes_max(const Request& request);

template <typename T>
T load(std::span<const uint8_t> bytes, size_t at = 0) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace sluice
