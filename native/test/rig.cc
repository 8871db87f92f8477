#include "rig.h"

#include <algorithm>

#include "check.h"

namespace sluice::test {

SessionOptions Rig::with_deadline(std::chrono::milliseconds deadline) {
  SessionOptions options;
  options.read_deadline = deadline;
  return options;
}

Rig::Rig(SessionOptions options) {
  options.descriptor = kernel.descriptor();
  options.clone_descriptors = false;
  if (!options.caller_leaves) options.caller_leaves = [](uint32_t) { return false; };
  options.wake = [this] {
    std::lock_guard lock(mutex_);
    woken_ = true;
    woken_signal_.notify_one();
  };
  session = Session::start(std::move(options));
}

Rig::~Rig() {
  stop();
  kernel.settle();
}

void Rig::stop() {
  if (stopped_) return;
  stopped_ = true;
  session->stop();
}

void Rig::drain() {
  for (size_t filled; (filled = session->events().drain(buffer_)) > 0;) {
    for (size_t at = 0; at < filled;) {
      const auto bytes = load<uint32_t>(buffer_, at);
      CHECK(bytes >= EventQueue::kHeaderBytes && bytes % 8 == 0 && bytes <= filled - at);
      const auto from = buffer_.begin() + static_cast<ptrdiff_t>(at);
      records_.push_back({static_cast<EventKind>(load<uint32_t>(buffer_, at + 4)), Bytes(from, from + bytes)});
      at += bytes;
    }
  }
}

Record Rig::await(EventKind kind) {
  for (;;) {
    drain();
    const auto found = std::find_if(records_.begin(), records_.end(), [&](const Record& at) { return at.kind == kind; });
    if (found != records_.end()) {
      Record record = std::move(*found);
      records_.erase(found);
      return record;
    }
    std::unique_lock lock(mutex_);
    CHECK(woken_signal_.wait_for(lock, kHangLimit, [&] { return woken_; }), "no record of kind " << static_cast<int>(kind));
    woken_ = false;
  }
}

std::vector<Record> Rig::take_all(EventKind kind) {
  drain();
  std::vector<Record> taken;
  std::erase_if(records_, [&](const Record& record) {
    if (record.kind != kind) return false;
    taken.push_back(record);
    return true;
  });
  return taken;
}

void Rig::forget_records() {
  drain();
  records_.clear();
}

uint32_t Rig::await_request(uint32_t opcode) {
  const Record record = await(EventKind::kRequest);
  CHECK(record.at<uint32_t>(12) == opcode, "operation " << record.at<uint32_t>(12) << " instead of " << opcode);
  return record.at<uint32_t>(8);
}

uint64_t Rig::open(const TestFile& file, uint64_t handle, uint64_t node) {
  CHECK(kernel.send(fuse::kOpen, node, Bytes(8)) != 0);
  OpenMode mode;
  const auto result = session->reply_open(await_request(fuse::kOpen), handle, file.local(), true, true, mode);
  CHECK(result == Session::ReplyResult::kTold && mode == OpenMode::kCached);
  return handle;
}

std::shared_ptr<PendingRead> Rig::read(uint64_t handle, uint64_t offset, uint32_t size) {
  auto read = std::make_shared<PendingRead>();
  read->unique = kernel.send(fuse::kRead, 100, read_body(handle, offset, size), [read](int error, std::span<const uint8_t> bytes) {
    read->error = error;
    read->bytes.assign(bytes.begin(), bytes.end());
    read->ended = true;
  });
  CHECK(read->unique != 0);
  return read;
}

int Rig::end_of(const std::shared_ptr<PendingRead>& read) {
  CHECK(kernel.await([&] { return read->ended.load(); }), "the connection ended before the READ");
  return read->error;
}

}  // namespace sluice::test
