// Schedules that are rare by themselves, many times over: two things at the same moment, and one right outcome.
#include <cerrno>
#include <thread>

#include "cases.h"
#include "check.h"
#include "leaks.h"
#include "random.h"
#include "rig.h"

namespace sluice::test {
namespace {

constexpr uint32_t kPage = TestFile::kPageBytes;

// A read that is the first to wait and ends at once must not take the alarm of the second with it.
void deadline_of_the_second() {
  constexpr int kRounds = 400;
  constexpr int kOthers = 8;
  SessionOptions options = Rig::with_deadline(std::chrono::milliseconds(1));
  options.threads = 3;
  Rig rig(options);
  CHECK(rig.kernel.negotiate());
  TestFile closed(1, kPage), open(2, kPage);
  rig.open(closed, 1);
  rig.open(open, 2, 101);
  // Its reads are parked, and end when they look again.
  closed.close();
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::shared_ptr<PendingRead>> others;
    std::shared_ptr<PendingRead> waits;
    for (int at = 0; at < kOthers; ++at) {
      others.push_back(rig.read(1, 0, kPage));
      if (at == kOthers / 2) waits = rig.read(2, 0, kPage);
    }
    CHECK(rig.end_of(waits) == EIO);
    for (const auto& other : others) CHECK(rig.end_of(other) == EIO);
  }
  CHECK(rig.take_all(EventKind::kReadWaiting).size() == rig.take_all(EventKind::kReadEnded).size());
  pass("a read has its deadline, whoever waited before it");
}

// The interrupt is read by one thread while another still looks at its request.
void interrupt_at_once() {
  SessionOptions options;
  options.threads = 3;
  options.caller_leaves = [](uint32_t) { return true; };
  Rig rig(options);
  CHECK(rig.kernel.negotiate());
  TestFile file(1, kPage);
  rig.open(file);
  for (int round = 0; round < 1000; ++round) {
    const auto read = rig.read(1, 0, kPage);
    rig.kernel.interrupt(read->unique);
    CHECK(rig.end_of(read) == EINTR);
  }
  pass("an interrupt reaches its request wherever it is");
}

// Reads that a publisher has taken out when the session stops.
void stop_while_publishing(Random random) {
  for (int round = 0; round < 60; ++round) {
    LeakCheck leaks;
    {
      Rig rig;
      CHECK(rig.kernel.negotiate());
      TestFile file(random.next(), 16 * kPage);
      rig.open(file);
      const auto session = rig.session;
      for (int at = 0; at < 16; ++at) rig.read(1, uint64_t(at) * kPage, kPage);
      for (int at = 0; at < 16; ++at) rig.await(EventKind::kReadWaiting);
      std::atomic<bool> go{false};
      std::thread publisher([&] {
        while (!go) std::this_thread::yield();
        for (uint64_t page = 0; page < 16; ++page) {
          file.fill(page * kPage, (page + 1) * kPage);
          session->file_published(*file.local());
        }
      });
      go = true;
      std::this_thread::sleep_for(std::chrono::microseconds(random.below(150)));
      rig.stop();
      publisher.join();
      CHECK(rig.take_all(EventKind::kReadEnded).size() == 16, "not every read has ended");
      const SessionStats stats = session->stats();
      CHECK(stats.reads_served + stats.reads_failed == 16);
    }
    leaks.check();
  }
  pass("a session that stops answers what a publisher had just taken out");
}

// The end of a large read is taken out of the file while its beginning is read, and comes back: zeros, and what is written
// before the true bytes, are seen by nobody.
void punch_while_reading(Random random) {
  constexpr int kRounds = 1500;
  constexpr uint64_t kPages = 256, kPunched = 4;
  SessionOptions options;
  options.threads = 3;
  Rig rig(options);
  CHECK(rig.kernel.negotiate());
  TestFile file(1, kPages * kPage);
  file.fill_all();
  rig.open(file);
  std::atomic<bool> done{false};
  std::thread puncher([&] {
    for (int round = 0; round < kRounds; ++round) {
      file.punch((kPages - kPunched) * kPage, file.size());
      file.fill((kPages - kPunched) * kPage, file.size());
      rig.session->file_published(*file.local());
      // About as long as the read takes from its look to its last page.
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(random.below(300));
      while (std::chrono::steady_clock::now() < until) continue;
    }
    done = true;
  });
  while (!done) {
    const auto one = rig.read(1, 0, kPages * kPage), other = rig.read(1, 0, kPages * kPage);
    for (const auto& read : {one, other}) {
      CHECK(rig.end_of(read) == 0);
      file.check_bytes((kPages - kPunched) * kPage, std::span(read->bytes).subspan((kPages - kPunched) * kPage));
    }
    rig.forget_records();
  }
  puncher.join();
  pass("bytes that are taken out of the file while they are read are never told as zeros");
}

// Opens that are answered while the session stops: all told of, or none of it happened.
void replies_while_stopping(Random random) {
  for (int round = 0; round < 60; ++round) {
    LeakCheck leaks;
    {
      Rig rig;
      CHECK(rig.kernel.negotiate());
      TestFile file(random.next(), kPage);
      std::vector<uint32_t> slots;
      for (int at = 0; at < 8; ++at) CHECK(rig.kernel.send(fuse::kOpen, 100, Bytes(8)) != 0);
      for (int at = 0; at < 8; ++at) slots.push_back(rig.await_request(fuse::kOpen));
      std::atomic<bool> go{false};
      std::thread host([&] {
        while (!go) std::this_thread::yield();
        uint64_t handle = 0;
        OpenMode mode;
        for (const uint32_t slot : slots) {
          const auto result = rig.session->reply_open(slot, ++handle, file.local(), true, true, mode);
          CHECK(result == Session::ReplyResult::kTold || result == Session::ReplyResult::kGone);
        }
      });
      go = true;
      std::this_thread::sleep_for(std::chrono::microseconds(random.below(60)));
      rig.stop();
      host.join();
      CHECK(rig.session->stats().handles_cached == 0 && rig.session->stats().requests_waiting == 0);
    }
    leaks.check();
  }
  pass("a reply and the end of the session exclude each other");
}

}  // namespace

void run_race_cases(uint64_t seed) {
  Random random(seed);
  deadline_of_the_second();
  interrupt_at_once();
  punch_while_reading(random.fork());
  stop_while_publishing(random.fork());
  replies_while_stopping(random.fork());
}

}  // namespace sluice::test
