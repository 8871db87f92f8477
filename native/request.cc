#include "request.h"

#include <array>

namespace sluice {
namespace {

using Reply = Operation::Reply;

constexpr uint32_t kEntryOutBytes = 128;
constexpr uint32_t kAttrOutBytes = 104;
constexpr size_t kOperations = 64;

// The kernel sends names of up to a path's length (of up to 1024 before Linux 6.14), link targets with one byte more; a
// longer one comes from nowhere good. Which are too long for a file name is not for the parser to say.
constexpr size_t kNameBytesMax = 4095;
constexpr size_t kTextBytesMax = 4096;

constexpr std::array<Operation, kOperations> make_operations() {
  std::array<Operation, kOperations> table{};
  auto set = [&](uint32_t opcode, uint32_t body, uint8_t names, Reply reply, uint32_t bytes, bool interruptible = false,
                 uint8_t free_names = 0) {
    table[opcode] = {body, names, free_names, reply, bytes, interruptible, true};
  };
  set(fuse::kLookup, 0, 1, Reply::kFixed, kEntryOutBytes, true);
  set(fuse::kForget, 8, 0, Reply::kNone, 0);
  set(fuse::kGetattr, 16, 0, Reply::kFixed, kAttrOutBytes, true);
  set(fuse::kSetattr, 88, 0, Reply::kFixed, kAttrOutBytes);
  set(fuse::kReadlink, 0, 0, Reply::kAny, 4096, true);
  set(fuse::kSymlink, 0, 1, Reply::kFixed, kEntryOutBytes, false, 1);
  set(fuse::kMknod, 16, 1, Reply::kFixed, kEntryOutBytes);
  set(fuse::kMkdir, 8, 1, Reply::kFixed, kEntryOutBytes);
  set(fuse::kUnlink, 0, 1, Reply::kFixed, 0);
  set(fuse::kRmdir, 0, 1, Reply::kFixed, 0);
  set(fuse::kRename, 8, 2, Reply::kFixed, 0);
  set(fuse::kLink, 8, 1, Reply::kFixed, kEntryOutBytes);
  set(fuse::kOpen, 8, 0, Reply::kFixed, sizeof(fuse::OpenOut), true);
  set(fuse::kRead, 40, 0, Reply::kSized, 0, true);
  set(fuse::kWrite, 40, 0, Reply::kFixed, 8);
  set(fuse::kStatfs, 0, 0, Reply::kFixed, 80, true);
  set(fuse::kRelease, 24, 0, Reply::kFixed, 0);
  set(fuse::kFsync, 16, 0, Reply::kFixed, 0);
  set(fuse::kSetxattr, 8, 0, Reply::kFixed, 0, false, 1);
  set(fuse::kGetxattr, 8, 0, Reply::kSized, 8, true, 1);
  set(fuse::kListxattr, 8, 0, Reply::kSized, 8, true);
  set(fuse::kRemovexattr, 0, 0, Reply::kFixed, 0, false, 1);
  set(fuse::kFlush, 24, 0, Reply::kFixed, 0);
  set(fuse::kInit, fuse::kInitInBytesMin, 0, Reply::kAny, sizeof(fuse::InitOut));
  set(fuse::kOpendir, 8, 0, Reply::kFixed, sizeof(fuse::OpenOut), true);
  set(fuse::kReaddir, 40, 0, Reply::kSized, 0, true);
  set(fuse::kReleasedir, 24, 0, Reply::kFixed, 0);
  set(fuse::kFsyncdir, 16, 0, Reply::kFixed, 0);
  set(fuse::kGetlk, 48, 0, Reply::kFixed, 24);
  set(fuse::kSetlk, 48, 0, Reply::kFixed, 0);
  set(fuse::kSetlkw, 48, 0, Reply::kFixed, 0);
  set(fuse::kAccess, 8, 0, Reply::kFixed, 0, true);
  set(fuse::kCreate, 16, 1, Reply::kFixed, kEntryOutBytes + sizeof(fuse::OpenOut));
  set(fuse::kInterrupt, 8, 0, Reply::kNone, 0);
  set(fuse::kBmap, 16, 0, Reply::kFixed, 8);
  set(fuse::kDestroy, 0, 0, Reply::kFixed, 0);
  set(fuse::kIoctl, 32, 0, Reply::kAny, 65536);
  set(fuse::kPoll, 24, 0, Reply::kFixed, 8);
  set(fuse::kNotifyReply, 40, 0, Reply::kNone, 0);
  set(fuse::kBatchForget, 8, 0, Reply::kNone, 0);
  set(fuse::kFallocate, 32, 0, Reply::kFixed, 0);
  set(fuse::kReaddirplus, 40, 0, Reply::kSized, 0, true);
  set(fuse::kRename2, 16, 2, Reply::kFixed, 0);
  set(fuse::kLseek, 24, 0, Reply::kFixed, 8, true);
  set(fuse::kCopyFileRange, 56, 0, Reply::kFixed, 8);
  set(fuse::kSyncfs, 8, 0, Reply::kFixed, 0);
  // The kernel calls a file without a name "/".
  set(fuse::kTmpfile, 16, 0, Reply::kFixed, kEntryOutBytes + sizeof(fuse::OpenOut), false, 1);
  set(fuse::kStatx, 24, 0, Reply::kAny, 4096, true);
  return table;
}

constexpr auto kTable = make_operations();
// Unknown numbers are handed on, to be answered ENOSYS.
constexpr Operation kUnknown{0, 0, 0, Reply::kAny, 0, false, false};

// A name at the start of `rest`, which is moved behind it.
bool take_name(std::span<const uint8_t>& rest, bool is_file_name) {
  const size_t window = std::min(rest.size(), (is_file_name ? kNameBytesMax : kTextBytesMax) + 1);
  const void* nul = window == 0 ? nullptr : std::memchr(rest.data(), 0, window);
  if (nul == nullptr) return false;
  const size_t length = static_cast<const uint8_t*>(nul) - rest.data();
  const auto name = rest.first(length);
  rest = rest.subspan(length + 1);
  if (!is_file_name) return true;
  if (length == 0 || std::memchr(name.data(), '/', length) != nullptr) return false;
  return !(name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')));
}

ParseResult check_counts(const Request& request, std::span<const uint8_t> rest) {
  switch (request.header.opcode) {
    case fuse::kBatchForget: {
      const auto in = load<fuse::BatchForgetIn>(request.body);
      return rest.size() / sizeof(fuse::ForgetOne) >= in.count ? ParseResult::kOk : ParseResult::kBadCount;
    }
    case fuse::kWrite: {
      const auto bytes = load<uint32_t>(request.body, 16);
      return rest.size() >= bytes ? ParseResult::kOk : ParseResult::kBadCount;
    }
    case fuse::kSetxattr: {
      const auto bytes = load<uint32_t>(request.body);
      return rest.size() >= bytes ? ParseResult::kOk : ParseResult::kBadCount;
    }
    case fuse::kIoctl: {
      const auto bytes = load<uint32_t>(request.body, 24);
      return rest.size() >= bytes ? ParseResult::kOk : ParseResult::kBadCount;
    }
    default:
      return ParseResult::kOk;
  }
}

}  // namespace

const Operation& operation_of(uint32_t opcode) {
  return opcode < kOperations && kTable[opcode].known ? kTable[opcode] : kUnknown;
}

ParseResult parse_request(std::span<const uint8_t> message, Request& request) {
  if (message.size() < sizeof(fuse::InHeader)) return ParseResult::kNoHeader;
  request.header = load<fuse::InHeader>(message);
  request.body = message.subspan(sizeof(fuse::InHeader));
  if (request.header.len != message.size()) return ParseResult::kWrongLength;
  const Operation& operation = operation_of(request.header.opcode);
  if (request.body.size() < operation.body_bytes_min) return ParseResult::kShortBody;
  auto rest = request.body.subspan(operation.body_bytes_min);
  for (int name = 0; name < operation.names; ++name)
    if (!take_name(rest, true)) return ParseResult::kBadName;
  for (int name = 0; name < operation.free_names; ++name)
    if (!take_name(rest, false)) return ParseResult::kBadName;
  return check_counts(request, rest);
}

uint32_t reply_bytes_max(const Request& request) {
  const Operation& operation = operation_of(request.header.opcode);
  if (operation.reply != Reply::kSized) return operation.reply_bytes;
  // fuse_read_in has its size behind handle and offset; fuse_getxattr_in begins with it, and 0 asks for the length alone.
  const bool is_attribute = operation.reply_bytes > 0;
  const auto size = load<uint32_t>(request.body, is_attribute ? 0 : 16);
  return is_attribute && size == 0 ? operation.reply_bytes : size;
}

}  // namespace sluice
