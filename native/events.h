// What the session's threads tell JavaScript: records, in order, gathered in memory and handed over many at a time. The
// first record of a batch wakes the event loop, the others ride along. src/fuse/native-events.ts reads them.
//
// Promise: what is not lossy is delivered exactly once and in order. Requests are refused beyond a limit, which only a
// blocked event loop with more callers than memory reaches; observations and traces are dropped long before, and counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

namespace sluice {

// Of a read are told, in order: entered (when reads are traced), waiting (when bytes were missing; once more when they came
// and were cleared before they were taken), ended (exactly once, when one of the others was).
enum class EventKind : uint32_t {
  kRequest = 1, kForget = 2, kReadEntered = 3, kReadWaiting = 4, kReadEnded = 5, kReadObserved = 6, kReleased = 7,
  kNegotiated = 8, kProblem = 9, kEnded = 10,
};

enum class Problem : uint32_t {
  kReplyRefused = 1, kMalformedRequest = 2, kLocalFileFailed = 3, kNoPassthrough = 4, kEventsLost = 5,
};

enum class ReadResult : uint32_t { kOk = 0, kDeadline = 1, kInterrupted = 2, kFailed = 3 };

struct RequestEvent {
  uint32_t slot, opcode;
  uint64_t node;
  uint32_t uid, gid, pid, body_bytes;
};
struct ReadEvent {
  uint32_t file, length;
  uint64_t read, offset, handle;
  double age_ms;
};
struct ReadEndedEvent {
  uint32_t file;
  ReadResult result;
  uint64_t read;
  double waited_ms;
};
struct ReadObservedEvent {
  uint32_t file, length;
  uint64_t offset;
};
struct ReleasedEvent {
  uint64_t handle, node;
};
struct NegotiatedEvent {
  uint32_t major, minor;
  uint64_t flags;
  uint32_t read_bytes_max, threads, cloned, passthrough;
};
struct ProblemEvent {
  Problem code;
  uint32_t error;
  uint64_t detail;
};
struct EndedEvent {
  uint32_t error, padding;
};

class EventQueue {
 public:
  static constexpr size_t kHeaderBytes = 8;
  // A record holds a WRITE of 1 MiB with its headers at most.
  static constexpr size_t kRecordBytesMax = (1u << 20) + 4096;
  static constexpr size_t kLossyBytesMax = 4u << 20;
  static constexpr size_t kRequestBytesMax = 64u << 20;

  // `wake` is called on the pushing thread when a record enters an empty queue. Set once, before the first push.
  explicit EventQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  template <typename Event>
  bool push(EventKind kind, const Event& event, std::span<const uint8_t> extra = {}) {
    static_assert(sizeof(Event) % 8 == 0);
    return append(kind, {reinterpret_cast<const uint8_t*>(&event), sizeof event}, extra);
  }

  // Copies whole records, as many as fit and are there; 0 when there are none. One thread drains.
  size_t drain(std::span<uint8_t> out);

  // No more wakes: nobody drains any more.
  void mute();

 private:
  bool append(EventKind kind, std::span<const uint8_t> event, std::span<const uint8_t> extra);
  void put(EventKind kind, std::span<const uint8_t> event, std::span<const uint8_t> extra, size_t bytes);

  std::mutex mutex_;
  std::function<void()> wake_;
  std::vector<uint8_t> records_;
  size_t read_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace sluice
