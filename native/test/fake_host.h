// Plays JavaScript to a session: drains its events, takes every record apart strictly, answers requests in any order and
// after any delay, and does what a faulty caller might (answers twice, with wrong lengths, of slots that are none). Keeps
// account, so that at the end every read that was told of has ended, and every forgotten lookup has been heard of.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "../session.h"
#include "fake_kernel.h"
#include "random.h"
#include "test_file.h"

namespace sluice::test {

using Files = std::vector<std::shared_ptr<TestFile>>;

// File i of a run has this node and those behind it.
inline constexpr uint64_t kFirstNode = 100;
// Handles that only JavaScript knows begin here.
inline constexpr uint64_t kHostHandle = 1ull << 40;
// What reads that the host fails end with: no other does.
inline constexpr int kFailedByHost = EREMOTEIO;
inline constexpr int kUnknownHandle = EBADF;

struct HostOptions {
  bool trace_reads = false;
  bool short_deadline = false;
  // How often, of 100 turns.
  unsigned mischief_percent = 10, fail_percent = 5, close_percent = 0, block_percent = 2;
};

class FakeHost {
 public:
  FakeHost(uint64_t seed, HostOptions options, FakeKernel& kernel, Files files);

  // For SessionOptions::wake.
  void wake();
  void start(std::shared_ptr<Session> session);
  // Before `stop` is called: replies may find their request answered from now on.
  void announce_stop() { stopping_ = true; }
  // After `stop` and FakeKernel::settle: hears the rest, answers what is left, checks all accounts and lets go of the
  // session.
  void finish();

  uint64_t failed_reads() const { return failed_reads_; }
  uint64_t problems(Problem code) const;
  uint64_t waits() const { return waits_; }

 private:
  struct Waiting {
    uint32_t slot, opcode;
    uint64_t node;
    uint32_t uid;
    Bytes body;
  };

  void run();
  bool drain();
  void take(EventKind kind, std::span<const uint8_t> record);
  void take_request(std::span<const uint8_t> record);
  void take_read(EventKind kind, std::span<const uint8_t> record);
  void take_read_end(std::span<const uint8_t> record);
  void take_forget(std::span<const uint8_t> record);
  void answer_one();
  void answer(const Waiting& request);
  void answer_open(const Waiting& request);
  void check_outcome(const Waiting& request, Session::ReplyResult result);
  void make_mischief();
  TestFile* file_of(uint64_t node) const;
  const TestFile* file_by_id(uint32_t id) const;

  Random random_;
  const HostOptions options_;
  FakeKernel& kernel_;
  const Files files_;
  std::shared_ptr<Session> session_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable woken_signal_;
  bool woken_ = false, finishing_ = false;
  std::atomic<bool> stopping_{false};

  Bytes events_ = Bytes(2u << 20);
  std::vector<Waiting> waiting_;
  // Told and not ended; told at all.
  std::unordered_set<uint64_t> reads_, reads_seen_, entered_;
  std::unordered_map<uint64_t, uint64_t> handles_;
  std::map<uint64_t, uint64_t> forgotten_;
  std::map<uint32_t, uint64_t> problems_;
  uint64_t last_handle_ = 0, failed_reads_ = 0, failed_ends_ = 0, waits_ = 0;
  unsigned negotiated_ = 0, ended_ = 0;
};

}  // namespace sluice::test
