// Reads that share the end of one that ran into its deadline: alone, at made-up times, and through a session.
#include <cerrno>

#include "../expired_reads.h"
#include "cases.h"
#include "check.h"
#include "rig.h"

namespace sluice::test {
namespace {

using std::chrono::milliseconds;

constexpr uint32_t kPage = TestFile::kPageBytes;
constexpr SteadyTime kStart{std::chrono::hours(1)};

// Pages of one file, at a time of the test's own.
class Reads {
 public:
  explicit Reads(const TestFile& file) : file_(file) {}

  void expire(uint64_t page, uint64_t end_page) { expired.add(read_of(file_, page, end_page), now); }
  bool share(uint64_t page, uint64_t end_page) { return share_of(file_, page, end_page); }
  bool share_of(const TestFile& file, uint64_t page, uint64_t end_page) {
    return expired.share(read_of(file, page, end_page), now);
  }

  ExpiredReads expired;
  SteadyTime now = kStart;

 private:
  // Each through another handle.
  Read read_of(const TestFile& file, uint64_t page, uint64_t end_page) {
    const auto length = static_cast<uint32_t>((end_page - page) * kPage);
    return {.unique = 0, .device = 0, .file = file.local(), .handle = ++handle_, .offset = page * kPage, .length = length,
            .thread_id = 0, .since = now};
  }

  const TestFile& file_;
  uint64_t handle_ = 0;
};

void whoever_wants_a_byte() {
  TestFile file(1, 16 * kPage), other(2, 16 * kPage);
  Reads reads(file);
  reads.expire(2, 6);
  for (int times = 0; times < 3; ++times) {
    CHECK(reads.share(2, 3) && reads.share(5, 6) && reads.share(0, 3) && reads.share(5, 16) && reads.share(0, 16));
    CHECK(!reads.share(0, 2) && !reads.share(6, 16) && !reads.share_of(other, 2, 3));
  }
  pass("whoever wants a byte of a read that ran into its deadline shares its end, however often");
}

void for_how_long() {
  TestFile file(1, 16 * kPage);
  Reads reads(file);
  reads.expire(2, 6);
  reads.now += milliseconds(100);
  CHECK(reads.share(3, 4));
  reads.now += milliseconds(100);
  CHECK(reads.share(4, 5));
  reads.now += milliseconds(101);
  CHECK(!reads.share(4, 5) && !reads.share(4, 5));

  reads.expire(2, 6);
  for (int ms = 0; ms <= 1000; ms += 50) {
    CHECK(reads.share(2, 3), "after " << ms << " ms");
    reads.now += milliseconds(50);
  }
  CHECK(!reads.share(2, 3));
  reads.expire(2, 3);
  CHECK(reads.share(2, 3) && !reads.share(3, 4));
  pass("a shared end lasts 100 ms from the last that shared it, a second in all");
}

void bytes_that_came() {
  TestFile file(1, 16 * kPage);
  Reads reads(file);
  reads.expire(2, 6);
  file.fill(2 * kPage, 4 * kPage);
  // What is missing of it, nobody waited for.
  CHECK(!reads.share(0, 4) && reads.share(3, 5));
  file.fill(4 * kPage, 6 * kPage);
  CHECK(!reads.share(0, 16));
  pass("bytes that came are no reason to share an end any more");
}

// As processes do that wait for one page: each asks when the one before has failed.
void processes_in_turn() {
  constexpr uint64_t kProcesses = 8;
  Rig rig(Rig::with_deadline(milliseconds(20)));
  CHECK(rig.kernel.negotiate());
  TestFile file(1, 64 * kPage);
  for (uint64_t handle = 1; handle <= kProcesses; ++handle) rig.open(file, handle);
  CHECK(rig.end_of(rig.read(1, 0, 32 * kPage)) == EIO);
  for (uint64_t handle = 1; handle <= kProcesses; ++handle) CHECK(rig.end_of(rig.read(handle, kPage, kPage)) == EIO);
  const SessionStats stats = rig.session->stats();
  CHECK(stats.reads_failed == kProcesses + 1);
  // One that a busy machine let come too late waits, and others share its end.
  CHECK(stats.reads_parked <= kProcesses / 2, stats.reads_parked << " reads waited");
  file.fill_all();
  CHECK(rig.end_of(rig.read(1, kPage, kPage)) == 0);
  pass("processes that ask for one page in turn share one deadline");
}

}  // namespace

void run_expired_read_cases() {
  whoever_wants_a_byte();
  for_how_long();
  bytes_that_came();
  processes_in_turn();
}

}  // namespace sluice::test
