// The parser: of each operation the shortest message that is right, and what is just too short, misnamed or miscounted.
#include <cstring>
#include <string>

#include "../request.h"
#include "cases.h"
#include "check.h"
#include "messages.h"

namespace sluice::test {
namespace {

ParseResult parse(Bytes message, bool fix_length = true) {
  const auto length = static_cast<uint32_t>(message.size());
  if (fix_length && message.size() >= sizeof length) std::memcpy(message.data(), &length, sizeof length);
  // A copy of its own, so that a read behind its end is one behind the allocation.
  const Bytes exact(message.begin(), message.end());
  Request request;
  const ParseResult result = parse_request(exact, request);
  if (result == ParseResult::kOk) {
    CHECK(request.header.len == exact.size() && request.body.size() == exact.size() - sizeof(fuse::InHeader));
    CHECK(operation_of(request.header.opcode).reply != Operation::Reply::kSized || reply_bytes_max(request) < ~0u);
  }
  return result;
}

Bytes message_of(const Shape& shape) { return test::message_of(shape.opcode, 2, 1, 3, body_of(shape)); }

void shortest_messages() {
  for (const Shape& shape : shapes()) {
    const Bytes whole = message_of(shape);
    CHECK(parse(whole) == ParseResult::kOk, "operation " << shape.opcode);
    const Operation& operation = operation_of(shape.opcode);
    CHECK(operation.known && (operation.reply != Operation::Reply::kNone) == shape.is_answered, "operation " << shape.opcode);
    for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(bytes));
      const ParseResult result = parse(cut);
      CHECK(result != ParseResult::kOk, "operation " << shape.opcode << ", cut to " << bytes);
      CHECK((result == ParseResult::kNoHeader) == (bytes < sizeof(fuse::InHeader)));
      CHECK(bytes < sizeof(fuse::InHeader) || parse(cut, false) == ParseResult::kWrongLength);
    }
    Bytes longer = whole;
    longer.push_back(0);
    CHECK(parse(longer, false) == ParseResult::kWrongLength && parse(longer) == ParseResult::kOk);
  }
  pass("each operation is parsed at its shortest, and refused when a byte is missing");
}

void reply_lengths() {
  for (const Shape& shape : shapes()) {
    // Answered by the session itself, whatever JavaScript may say.
    if (!shape.is_answered || shape.opcode == fuse::kInit) continue;
    for (const uint32_t size : {0u, 5000u}) {
      Bytes body = body_of(shape);
      // The size that is asked for, where there is one; the same bytes are of no meaning elsewhere.
      const bool is_read = body.size() >= 40 && shape.count_at < 0;
      const bool is_attribute = shape.opcode == fuse::kGetxattr || shape.opcode == fuse::kListxattr;
      if (is_read) std::memcpy(body.data() + 16, &size, sizeof size);
      if (is_attribute) std::memcpy(body.data(), &size, sizeof size);
      const Bytes message = test::message_of(shape.opcode, 2, 1, 3, body);
      Request request;
      CHECK(parse_request(message, request) == ParseResult::kOk);
      CHECK(reply_bytes_max(request) == reply_length(shape.opcode, body), "operation " << shape.opcode);
    }
  }
  pass("a reply may have as many bytes as the kernel takes");
}

void names() {
  const auto lookup = [](const std::string& name) { return parse(test::message_of(fuse::kLookup, 2, 1, 3, name_body(name))); };
  for (const char* name : {"", ".", "..", "a/b", "/", "a/"}) CHECK(lookup(name) == ParseResult::kBadName, name);
  for (const char* name : {"...", ".a", "a.", " ", "\xff", "\\"}) CHECK(lookup(name) == ParseResult::kOk, name);
  CHECK(lookup(std::string(4095, 'n')) == ParseResult::kOk);
  CHECK(lookup(std::string(4096, 'n')) == ParseResult::kBadName);
  // The second of two, and texts, in which everything may stand.
  const auto rename = [](const std::string& from, const std::string& to) {
    return parse(message_of({fuse::kRename2, 16, {from, to}, {}, 0, -1}));
  };
  CHECK(rename("a", "b") == ParseResult::kOk);
  CHECK(rename("a", "..") == ParseResult::kBadName && rename("", "b") == ParseResult::kBadName);
  const auto symlink = [](const std::string& name, const std::string& target) {
    return parse(message_of({fuse::kSymlink, 0, {name}, {target}, 0, -1}));
  };
  CHECK(symlink("a", "../b/") == ParseResult::kOk && symlink("a", "") == ParseResult::kOk);
  CHECK(symlink("a", std::string(4095, 't')) == ParseResult::kOk);
  CHECK(symlink("a", std::string(4097, 't')) == ParseResult::kBadName);
  CHECK(symlink("a/", "b") == ParseResult::kBadName);
  pass("names are whole, without slashes, and neither . nor ..");
}

void counts() {
  for (const Shape& shape : shapes()) {
    if (shape.count_at < 0) continue;
    const bool is_forget = shape.opcode == fuse::kBatchForget;
    const uint32_t there = is_forget ? shape.data_bytes / 16 : shape.data_bytes;
    for (const uint32_t count : {0u, there - 1, there, there + 1, 0x0fff'ffffu, 0x1000'0001u, 0x7fff'ffffu, ~0u}) {
      Bytes body = body_of(shape);
      std::memcpy(body.data() + shape.count_at, &count, sizeof count);
      const ParseResult result = parse(test::message_of(shape.opcode, 2, 1, 3, body));
      CHECK(result == (count <= there ? ParseResult::kOk : ParseResult::kBadCount), "operation " << shape.opcode << ", " << count);
    }
  }
  pass("counts are no larger than what is there, whatever they overflow");
}

void unknown_operations() {
  for (const uint32_t opcode : {0u, 7u, 19u, 53u, 63u, 64u, 4096u, ~0u}) {
    CHECK(!operation_of(opcode).known);
    CHECK(parse(test::message_of(opcode, 2, 1, 3, {})) == ParseResult::kOk);
  }
  pass("operations that nobody knows are let through, to be refused");
}

}  // namespace

void run_request_cases() {
  shortest_messages();
  reply_lengths();
  names();
  counts();
  unknown_operations();
}

}  // namespace sluice::test
