// The kernel's side of /dev/fuse over a SOCK_SEQPACKET pair, whose messages keep their bounds as the device's do. Sends
// requests with growing even numbers, hands each reply to whoever asked, and fails on every reply that a kernel would
// refuse: of an unknown or answered request, of a wrong length, with an errno that is none.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "check.h"
#include "messages.h"

namespace sluice::test {

// No wait of the harness is longer; what hangs is a failure.
inline constexpr std::chrono::seconds kHangLimit{20};

// What came back for a request; nothing when the connection ended first.
struct Answer {
  int error;
  Bytes body;
};

// A request as it was sent.
struct Sent {
  uint32_t opcode = 0;
  uint64_t node = 0;
  Bytes body;
  bool was_interrupted = false, was_answered = false, was_never_read = false;
};

// Code and payload.
using Notice = std::pair<int32_t, Bytes>;

class FakeKernel {
 public:
  // Runs on the thread of the kernel: must not send.
  using OnReply = std::function<void(int error, std::span<const uint8_t> body)>;

  FakeKernel();
  ~FakeKernel();
  FakeKernel(const FakeKernel&) = delete;
  FakeKernel& operator=(const FakeKernel&) = delete;

  // The daemon's end, for the session to own. Once.
  int descriptor();
  // INIT with everything offered; true when it was accepted.
  bool negotiate();

  // The request's number; 0 when the connection has ended and nothing was sent.
  uint64_t send(uint32_t opcode, uint64_t node, std::span<const uint8_t> body, OnReply on_reply = {});
  std::optional<Answer> call(uint32_t opcode, uint64_t node, std::span<const uint8_t> body);
  // Until `done` (looked at after each reply) or the end of the connection: true when done.
  template <typename Done>
  bool await(Done done) {
    std::unique_lock lock(mutex_);
    CHECK(changed_.wait_for(lock, kHangLimit, [&] { return done() || over_; }), "hangs");
    return done();
  }
  // As `await`, but for a moment only.
  template <typename Done>
  void await_soon(Done done) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(1), [&] { return done() || over_; });
  }
  // Any bytes; a reply to `unique` is expected when it is not 0. With `any_length` its body may be as long as it likes, else
  // an error is expected. False when the connection has ended.
  bool send_raw(const Bytes& message, uint64_t unique, OnReply on_reply = {}, bool any_length = false);
  // An even number that no request has.
  uint64_t reserve();
  // Sends INTERRUPT of a request, again whenever the daemon asks for that.
  void interrupt(uint64_t unique);

  // Ends the connection as an abort or unmount does.
  void hang_up();
  // After the session has stopped: takes in what it had written, and learns what it never read. Then every request that
  // it read was answered, unless the kernel hung up.
  void settle();

  // The request of which JavaScript was told; fails when there is none. Its number's lower half is its uid.
  Sent sent(uint32_t uid) const;
  // Forgotten lookups by node, as far as they were read. After `settle`.
  std::map<uint64_t, uint64_t> forgotten() const;
  std::vector<Notice> notices() const;
  // Waits for so many.
  void await_notices(size_t count);
  // From now on larger replies than a page are refused with EMSGSIZE.
  void make_replies_small();
  // For `await`: of one request.
  bool is_answered(uint64_t unique) const { return requests_.at(unique).was_answered; }
  // For `await`: nothing that the daemon was sent waits for its reply.
  bool all_answered() const;
  bool is_over() const { return over_.load(); }
  bool was_hung_up() const { return hung_up_.load(); }

  // How many replies came, by what the request was and how it ended.
  struct Counts {
    uint64_t reads_ok = 0, bytes_read = 0, interrupted = 0;
  };
  Counts counts() const;

 private:
  struct Request : Sent {
    OnReply on_reply = {};
    bool any_length = false;
    bool wants_reply() const { return opcode != fuse::kForget && opcode != fuse::kBatchForget; }
  };
  // Also keeps the request, when it has a number; false when the connection has ended, and it is not kept.
  bool write(const Bytes& message, uint64_t unique, Request request);
  void run();
  void take_reply(std::span<const uint8_t> message);
  void take_notice(int32_t code, std::span<const uint8_t> payload);
  void take_interrupt_reply(uint64_t unique, int error, size_t bytes);

  std::array<int, 2> ends_;
  // A second hold on the daemon's end, to find what was never read.
  int witness_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<uint64_t, Request> requests_;
  std::vector<Notice> notices_;
  Counts counts_;
  uint64_t last_unique_ = 0;
  // Held over each write, so that none is under way when the connection closes. Before `mutex_`.
  std::mutex write_mutex_;
  bool closed_ = false;
  std::atomic<bool> over_{false}, hung_up_{false};
  std::thread thread_;
};

}  // namespace sluice::test
