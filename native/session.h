// One FUSE connection, served by threads. Knows nothing of Node: addon.cc drives it from JavaScript, test/harness.cc from
// a fake kernel, under the sanitizers.
//
//   session threads   read requests, answer what is native, hand the rest to the event queue
//   waker             answers parked reads whose bytes came (never the publisher, who has more to fetch), and parks them
//                     again when the bytes have gone meanwhile
//   timer             deadlines of parked reads, callers that leave; needs nothing but the clock
//   notifier          invalidations, which may wait for locks that a request under way holds
//
// Lock order: calls → parked reads or pending requests → event queue. No lock is held over reads of files or of the device.
//
// Promise: each request is answered exactly once, whatever JavaScript does: by data, error, deadline, interrupt or the end.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "device.h"
#include "events.h"
#include "expired_reads.h"
#include "local_file.h"
#include "open_files.h"
#include "parked_reads.h"
#include "pending_requests.h"
#include "request.h"

namespace sluice {

struct SessionOptions {
  int descriptor = -1;
  unsigned threads = 2;
  bool clone_descriptors = true;
  uint32_t read_bytes_max = 1u << 20;
  std::chrono::milliseconds read_deadline{30'000};
  bool passthrough = false;
  bool trace_reads = false;
  // Called when an event enters an empty queue; from any thread.
  std::function<void()> wake;
  // See caller.h; the harness has no processes behind its requests.
  std::function<bool(uint32_t thread_id)> caller_leaves;
};

struct SessionStats {
  uint64_t read_requests, reads_served, reads_failed, bytes_read, reads_parked, reads_waiting, requests, requests_waiting,
      handles_cached, handles_passthrough, replies_refused, requests_malformed;
  double oldest_request_ms;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  // Takes over the descriptor and starts the threads.
  static std::shared_ptr<Session> start(SessionOptions options);
  ~Session();

  EventQueue& events() { return events_; }

  enum class ReplyResult { kTold, kGone, kNoRequest, kWrongLength };
  // `error` is a positive errno, or 0 with a body.
  ReplyResult reply(uint32_t slot, int error, std::span<const uint8_t> body);
  ReplyResult reply_open(uint32_t slot, uint64_t handle, std::shared_ptr<LocalFile> file, bool may_pass, bool keep_cache,
                         OpenMode& mode);
  bool fail_read(uint64_t read, int error);
  void file_published(const LocalFile& file);
  // It was closed or revoked.
  void file_ended(const LocalFile& file);
  // Queued; the notifier sends them.
  void invalidate_entry(uint64_t parent, std::string name);
  void invalidate_inode(uint64_t node);
  SessionStats stats() const;

  // Ends everything and joins the threads, but waits at most 5 s for one that hangs in the local disk. Idempotent; a
  // second caller waits for the first.
  void stop();

  // All that run in this process, for those who publish.
  static std::vector<std::shared_ptr<Session>> running();

 private:
  struct Notification {
    int32_t code;
    uint64_t node;
    std::string name;
  };
  struct Counters {
    std::atomic<uint64_t> read_requests{0}, reads_served{0}, reads_failed{0}, bytes_read{0}, reads_parked{0}, requests{0},
        replies_refused{0}, requests_malformed{0};
  };
  // What one session thread is doing, for interrupts that come meanwhile.
  struct Worker {
    std::atomic<uint64_t> unique{0};
  };

  explicit Session(SessionOptions options);
  void start_threads();
  void run_worker(unsigned index);
  void run_waker();
  void run_timer();
  void run_notifier();

  void dispatch(unsigned index, std::span<const uint8_t> message, std::span<uint8_t> scratch);
  void refuse_malformed(unsigned index, const Request& request, ParseResult result);
  void negotiate(unsigned index, const Request& request);
  void read(unsigned index, const Request& request, std::span<uint8_t> scratch);
  // What JavaScript has heard of a read.
  enum class Told { kNothing, kEntered, kWaiting };
  void wait(Read read, Told told, std::span<uint8_t> scratch);
  bool serve(const Read& read, std::span<uint8_t> scratch);
  void answer_served(const Read& read, std::span<const uint8_t> bytes);
  void end_read(const Read& read, ReadResult result, int error);
  void tell_end(const Read& read, ReadResult result);
  void forget(const Request& request);
  void release(unsigned index, const Request& request);
  void interrupt(const Request& request);
  bool interrupt_waiting(uint64_t unique);
  bool interrupted_early(uint64_t unique);
  void kick_timer();
  void hand_over(unsigned index, const Request& request);
  void problem(Problem code, int error, uint64_t detail);
  void ended(int error);
  void answer_all(int error);
  double ms_since(SteadyTime since) const;
  ReadEvent read_event(const Read& read) const;

  SessionOptions options_;
  Device device_;
  EventQueue events_;
  PendingRequests pending_;
  ParkedReads parked_;
  ExpiredReads expired_;
  OpenFiles open_files_;
  Counters counters_;
  std::atomic<uint64_t> last_read_{0};
  std::vector<Worker> workers_;

  std::mutex early_mutex_;
  std::unordered_set<uint64_t> early_interrupts_;
  std::atomic<bool> has_early_{false};

  std::mutex woken_mutex_;
  std::condition_variable woken_signal_;
  std::deque<Read> woken_;
  bool waker_ended_ = false;

  std::mutex timer_mutex_;
  std::condition_variable timer_signal_;
  bool timer_dirty_ = false;

  std::mutex notify_mutex_;
  std::condition_variable notify_signal_;
  std::deque<Notification> notifications_;

  // Nothing new begins; the workers refuse what comes.
  std::atomic<bool> stopping_{false};
  // The workers end.
  std::atomic<bool> finishing_{false};
  std::atomic<bool> ended_{false};
  std::mutex stop_mutex_;
  // Held shared by calls from outside that may write to the device, alone while its descriptors are given up: a number
  // that is closed belongs to somebody else.
  std::shared_mutex calls_mutex_;
  bool stopped_ = false;
  // Threads that run, by kind.
  std::mutex threads_mutex_;
  std::condition_variable threads_signal_;
  std::vector<pthread_t> workers_running_;
  unsigned helpers_running_ = 0;
  unsigned notifiers_running_ = 0;
};

}  // namespace sluice
