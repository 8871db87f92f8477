// A session with its fake kernel and no JavaScript but the test itself, for cases whose steps follow each other.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "../session.h"
#include "fake_kernel.h"
#include "test_file.h"

namespace sluice::test {

// One record of the events.
struct Record {
  EventKind kind;
  Bytes bytes;

  template <typename T>
  T at(size_t offset) const {
    return load<T>(bytes, offset);
  }
};

// A READ under way; its reply comes on the kernel's thread.
struct PendingRead {
  std::atomic<bool> ended{false};
  int error = 0;
  uint64_t unique = 0;
  Bytes bytes;
};

class Rig {
 public:
  explicit Rig(SessionOptions options = {});
  // Stops the session, unless that was done, and checks that every request had its reply.
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  static SessionOptions with_deadline(std::chrono::milliseconds deadline);

  // The first record of this kind from now on; those of other kinds before it are kept for later.
  Record await(EventKind kind);
  // What has come so far, of this kind.
  std::vector<Record> take_all(EventKind kind);
  // All that has come so far is of no interest.
  void forget_records();
  // A request that was handed over, by its slot.
  uint32_t await_request(uint32_t opcode);
  // Opens the file natively; the handle.
  uint64_t open(const TestFile& file, uint64_t handle = 1, uint64_t node = 100);

  std::shared_ptr<PendingRead> read(uint64_t handle, uint64_t offset, uint32_t size);
  // Its errno, or 0.
  int end_of(const std::shared_ptr<PendingRead>& read);

  void stop();

  FakeKernel kernel;
  std::shared_ptr<Session> session;

 private:
  void drain();

  std::mutex mutex_;
  std::condition_variable woken_signal_;
  bool woken_ = false;
  bool stopped_ = false;
  Bytes buffer_ = Bytes(2u << 20);
  std::deque<Record> records_;
};

}  // namespace sluice::test
