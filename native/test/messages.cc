#include "messages.h"

#include <algorithm>
#include <cstring>

#include "check.h"

namespace sluice::test {

const std::vector<Shape>& shapes() {
  using namespace fuse;
  static const std::vector<Shape> all = {
      {kLookup, 0, {"a"}, {}, 0, -1},
      {kForget, 8, {}, {}, 0, -1, false},
      {kGetattr, 16, {}, {}, 0, -1},
      {kSetattr, 88, {}, {}, 0, -1},
      {kReadlink, 0, {}, {}, 0, -1},
      {kSymlink, 0, {"a"}, {"/b/c"}, 0, -1},
      {kMknod, 16, {"a"}, {}, 0, -1},
      {kMkdir, 8, {"a"}, {}, 0, -1},
      {kUnlink, 0, {"a"}, {}, 0, -1},
      {kRmdir, 0, {"a"}, {}, 0, -1},
      {kRename, 8, {"a", "b"}, {}, 0, -1},
      {kLink, 8, {"a"}, {}, 0, -1},
      {kOpen, 8, {}, {}, 0, -1},
      {kRead, 40, {}, {}, 0, -1},
      {kWrite, 40, {}, {}, 5, 16},
      {kStatfs, 0, {}, {}, 0, -1},
      {kRelease, 24, {}, {}, 0, -1},
      {kFsync, 16, {}, {}, 0, -1},
      {kSetxattr, 8, {}, {"user.a"}, 5, 0},
      {kGetxattr, 8, {}, {"user.a"}, 0, -1},
      {kListxattr, 8, {}, {}, 0, -1},
      {kRemovexattr, 0, {}, {"user.a"}, 0, -1},
      {kFlush, 24, {}, {}, 0, -1},
      {kInit, 16, {}, {}, 0, -1},
      {kOpendir, 8, {}, {}, 0, -1},
      {kReaddir, 40, {}, {}, 0, -1},
      {kReleasedir, 24, {}, {}, 0, -1},
      {kFsyncdir, 16, {}, {}, 0, -1},
      {kGetlk, 48, {}, {}, 0, -1},
      {kSetlk, 48, {}, {}, 0, -1},
      {kSetlkw, 48, {}, {}, 0, -1},
      {kAccess, 8, {}, {}, 0, -1},
      {kCreate, 16, {"a"}, {}, 0, -1},
      {kInterrupt, 8, {}, {}, 0, -1, false},
      {kBmap, 16, {}, {}, 0, -1},
      {kDestroy, 0, {}, {}, 0, -1},
      {kIoctl, 32, {}, {}, 5, 24},
      {kPoll, 24, {}, {}, 0, -1},
      {kNotifyReply, 40, {}, {}, 0, -1, false},
      {kBatchForget, 8, {}, {}, 32, 0, false},
      {kFallocate, 32, {}, {}, 0, -1},
      {kReaddirplus, 40, {}, {}, 0, -1},
      {kRename2, 16, {"a", "b"}, {}, 0, -1},
      {kLseek, 24, {}, {}, 0, -1},
      {kCopyFileRange, 56, {}, {}, 0, -1},
      {kSyncfs, 8, {}, {}, 0, -1},
      // The kernel's name of an unnamed file is "/".
      {kTmpfile, 16, {}, {"/"}, 0, -1},
      {kStatx, 24, {}, {}, 0, -1},
  };
  return all;
}

Bytes body_of(const Shape& shape) {
  Bytes body(shape.fixed_bytes);
  if (shape.count_at >= 0) {
    const uint32_t count = shape.opcode == fuse::kBatchForget ? shape.data_bytes / 16 : shape.data_bytes;
    std::memcpy(body.data() + shape.count_at, &count, sizeof count);
  }
  for (const auto* list : {&shape.names, &shape.texts})
    for (const std::string& name : *list) body.insert(body.end(), name.c_str(), name.c_str() + name.size() + 1);
  body.resize(body.size() + shape.data_bytes, 'd');
  return body;
}

Bytes message_of(uint32_t opcode, uint64_t unique, uint64_t node, uint32_t owner, std::span<const uint8_t> body) {
  Bytes message;
  const auto length = static_cast<uint32_t>(sizeof(fuse::InHeader) + body.size());
  append(message, fuse::InHeader{length, opcode, unique, node, owner, owner + 1, owner, 0, 0});
  message.insert(message.end(), body.begin(), body.end());
  return message;
}

Bytes init_body(uint32_t major, uint32_t minor, uint64_t flags) {
  Bytes body;
  append(body, fuse::InitIn{major, minor, 128 * 1024, static_cast<uint32_t>(flags), static_cast<uint32_t>(flags >> 32), {}});
  return body;
}

Bytes read_body(uint64_t handle, uint64_t offset, uint32_t size) {
  Bytes body;
  append(body, fuse::ReadIn{handle, offset, size, 0, 0, 0, 0});
  return body;
}

Bytes release_body(uint64_t handle) {
  Bytes body;
  append(body, fuse::ReleaseIn{handle, 0, 0, 0});
  return body;
}

Bytes name_body(const std::string& name) { return {name.c_str(), name.c_str() + name.size() + 1}; }

namespace {

struct ReplyLength {
  uint32_t bytes;
  bool is_exact;
};

uint32_t number_at(std::span<const uint8_t> body, size_t at) {
  uint32_t value;
  CHECK(body.size() >= at + sizeof value);
  std::memcpy(&value, body.data() + at, sizeof value);
  return value;
}

ReplyLength reply_length_of(uint32_t opcode, std::span<const uint8_t> body) {
  using namespace fuse;
  switch (opcode) {
    case kLookup: case kSymlink: case kMknod: case kMkdir: case kLink:
      return {128, true};
    case kGetattr: case kSetattr:
      return {104, true};
    case kCreate: case kTmpfile:
      return {144, true};
    case kOpen: case kOpendir:
      return {16, true};
    case kStatfs:
      return {80, true};
    case kInit:
      return {64, true};
    case kWrite: case kBmap: case kPoll: case kLseek: case kCopyFileRange:
      return {8, true};
    case kGetlk:
      return {24, true};
    case kRead: case kReaddir: case kReaddirplus:
      return {number_at(body, 16), false};
    case kGetxattr: case kListxattr: {
      const uint32_t asked = number_at(body, 0);
      return {asked == 0 ? 8 : asked, false};
    }
    case kReadlink: case kStatx:
      return {4096, false};
    case kIoctl:
      return {65536, false};
    default:
      return {0, true};
  }
}

}  // namespace

bool reply_length_fits(uint32_t opcode, std::span<const uint8_t> body, size_t bytes) {
  const ReplyLength length = reply_length_of(opcode, body);
  return length.is_exact ? bytes == length.bytes : bytes <= length.bytes;
}

uint32_t reply_length(uint32_t opcode, std::span<const uint8_t> body) {
  return std::min<uint32_t>(reply_length_of(opcode, body).bytes, 65536);
}

}  // namespace sluice::test
