// A session, step by step: what one request does, and what every end of it looks like from both sides.
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "cases.h"
#include "check.h"
#include "rig.h"

namespace sluice::test {
namespace {

using std::chrono::milliseconds;
using ReplyResult = Session::ReplyResult;

constexpr uint32_t kPage = TestFile::kPageBytes;

void deadline_needs_no_javascript() {
  Rig rig(Rig::with_deadline(milliseconds(20)));
  CHECK(rig.kernel.negotiate());
  TestFile file(1, 10 * kPage);
  rig.open(file);
  const auto read = rig.read(1, kPage, kPage);
  // Nobody looks at the events meanwhile.
  CHECK(rig.end_of(read) == EIO);
  const Record waiting = rig.await(EventKind::kReadWaiting), ended = rig.await(EventKind::kReadEnded);
  CHECK(waiting.at<uint32_t>(8) == file.local()->id && waiting.at<uint32_t>(12) == kPage);
  CHECK(waiting.at<uint64_t>(24) == kPage && waiting.at<uint64_t>(32) == 1);
  CHECK(waiting.at<uint64_t>(16) == ended.at<uint64_t>(16));
  CHECK(ended.at<uint32_t>(12) == static_cast<uint32_t>(ReadResult::kDeadline) && ended.at<double>(24) >= 20);
  CHECK(!rig.session->fail_read(waiting.at<uint64_t>(16), EIO));
  pass("a read ends at its deadline while JavaScript is blocked");
}

void published_bytes_end_the_wait() {
  Rig rig;
  CHECK(rig.kernel.negotiate());
  TestFile file(2, 3 * kPage + 100);
  rig.open(file);
  const auto whole = rig.read(1, 0, 8 * kPage), tail = rig.read(1, 3 * kPage, kPage), cut = rig.read(1, 0, 100);
  for (int waits = 0; waits < 3; ++waits) rig.await(EventKind::kReadWaiting);
  // A page that is cut counts for the prefix.
  file.fill(0, 200);
  rig.session->file_published(*file.local());
  CHECK(rig.end_of(cut) == 0 && cut->bytes.size() == 100 && !whole->ended && !tail->ended);
  file.fill(3 * kPage, file.size());
  rig.session->file_published(*file.local());
  CHECK(rig.end_of(tail) == 0 && tail->bytes.size() == 100 && !whole->ended);
  file.fill(200, 3 * kPage);
  rig.session->file_published(*file.local());
  CHECK(rig.end_of(whole) == 0 && whole->bytes.size() == file.size());
  file.check_bytes(0, whole->bytes);
  file.check_bytes(3 * kPage, tail->bytes);
  CHECK(rig.end_of(rig.read(1, file.size(), 10)) == 0);
  pass("reads end when all their bytes are published, in any order");
}

void file_that_was_cut() {
  Rig rig;
  CHECK(rig.kernel.negotiate());
  TestFile file(3, 2 * kPage);
  file.fill_all();
  rig.open(file);
  file.cut(kPage);
  CHECK(rig.end_of(rig.read(1, 0, kPage)) == 0);
  CHECK(rig.end_of(rig.read(1, 0, 2 * kPage)) == EIO);
  CHECK(rig.end_of(rig.read(1, kPage, 1)) == EIO);
  const Record problem = rig.await(EventKind::kProblem);
  CHECK(problem.at<uint32_t>(8) == static_cast<uint32_t>(Problem::kLocalFileFailed));
  CHECK(problem.at<uint32_t>(12) == ENODATA && problem.at<uint64_t>(16) == file.local()->id);
  pass("a local file that was cut ends reads with an error, never with zeros");
}

void closed_file() {
  Rig rig;
  CHECK(rig.kernel.negotiate());
  std::weak_ptr<void> memory;
  {
    TestFile file(4, 4 * kPage);
    memory = file.memory();
    file.fill(0, kPage);
    rig.open(file);
    const auto waits = rig.read(1, kPage, kPage);
    rig.await(EventKind::kReadWaiting);
    CHECK(file.close());
    rig.session->file_ended(*file.local());
    CHECK(rig.end_of(waits) == EIO);
    // What came too late waits for nothing; what is there is read.
    CHECK(rig.end_of(rig.read(1, kPage, kPage)) == EIO);
    CHECK(rig.end_of(rig.read(1, 0, kPage)) == 0);
  }
  CHECK(!memory.expired());
  CHECK(rig.kernel.call(fuse::kRelease, 100, release_body(1))->error == 0);
  rig.await(EventKind::kReleased);
  // The thread that answered holds it no longer, when another request of its was answered.
  rig.stop();
  CHECK(memory.expired());
  pass("a closed file ends its waiting reads, and is freed with its last handle");
}

void revoked_file() {
  Rig rig;
  CHECK(rig.kernel.negotiate());
  TestFile file(4, 4 * kPage), other(5, kPage);
  file.fill(0, kPage);
  other.fill_all();
  rig.open(file);
  rig.open(other, 2, 101);
  const auto waits = rig.read(1, kPage, kPage);
  rig.await(EventKind::kReadWaiting);
  CHECK(rig.end_of(rig.read(1, 0, kPage)) == 0);
  file.local()->revoke();
  rig.session->file_ended(*file.local());
  CHECK(rig.end_of(waits) == EIO);
  CHECK(rig.end_of(rig.read(1, 0, kPage)) == EIO && rig.end_of(rig.read(1, kPage, kPage)) == EIO);
  file.fill(kPage, 2 * kPage);
  rig.session->file_published(*file.local());
  CHECK(rig.end_of(rig.read(1, kPage, kPage)) == EIO);
  CHECK(rig.end_of(rig.read(2, 0, kPage)) == 0);
  pass("of a revoked file no byte is told, whether it is there or not");
}

void bytes_that_went() {
  Rig rig;
  CHECK(rig.kernel.negotiate());
  TestFile file(6, 8 * kPage);
  file.fill_all();
  rig.open(file);
  file.punch(kPage, 3 * kPage);
  const auto waits = rig.read(1, 0, 4 * kPage), beside = rig.read(1, 3 * kPage, kPage);
  CHECK(rig.end_of(beside) == 0);
  file.check_bytes(3 * kPage, beside->bytes);
  rig.await(EventKind::kReadWaiting);
  file.fill(kPage, 3 * kPage);
  file.punch(0, kPage);
  rig.session->file_published(*file.local());
  file.fill(0, kPage);
  CHECK(!waits->ended);
  rig.session->file_published(*file.local());
  CHECK(rig.end_of(waits) == 0);
  file.check_bytes(0, waits->bytes);
  CHECK(rig.session->stats().reads_parked == 1);
  pass("a read of bytes that were taken away waits until they are there again");
}

// More reads than the waker answers before their bytes are gone.
void bytes_that_went_once_more() {
  constexpr uint64_t kReads = 64, kPages = 16;
  Rig rig;
  CHECK(rig.kernel.negotiate());
  TestFile file(7, kPages * kPage);
  rig.open(file);
  size_t waits = 0;
  for (int rounds = 0; waits == rounds * kReads; ++rounds) {
    CHECK(rounds < 1000, "the waker was always faster");
    std::vector<std::shared_ptr<PendingRead>> reads;
    for (uint64_t at = 0; at < kReads; ++at) reads.push_back(rig.read(1, 0, kPages * kPage));
    for (uint64_t at = 0; at < kReads; ++at) rig.await(EventKind::kReadWaiting);
    file.fill_all();
    rig.session->file_published(*file.local());
    file.punch(0, file.size());
    file.fill_all();
    rig.session->file_published(*file.local());
    for (const auto& read : reads) {
      CHECK(rig.end_of(read) == 0);
      file.check_bytes(0, read->bytes);
    }
    waits += kReads + rig.take_all(EventKind::kReadWaiting).size();
    CHECK(rig.take_all(EventKind::kReadEnded).size() == kReads);
    CHECK(rig.session->stats().reads_parked == (rounds + 1) * kReads);
    file.punch(0, file.size());
  }
  pass("a read whose bytes went before they were taken waits again, told of by its number, and ends once");
}

void handles_of_others() {
  Rig rig;
  CHECK(rig.kernel.negotiate());
  TestFile file(5, kPage);
  rig.open(file, 7);
  const auto read = rig.read(8, 0, 10);
  CHECK(rig.session->reply(rig.await_request(fuse::kRead), EBADF, {}) == ReplyResult::kTold);
  CHECK(rig.end_of(read) == EBADF);
  CHECK(rig.kernel.send(fuse::kRelease, 100, release_body(8)) != 0);
  CHECK(rig.session->reply(rig.await_request(fuse::kRelease), 0, {}) == ReplyResult::kTold);
  CHECK(rig.kernel.send(fuse::kOpen, 100, Bytes(8)) != 0);
  OpenMode mode = OpenMode::kCached;
  CHECK(rig.session->reply_open(rig.await_request(fuse::kOpen), 7, file.local(), true, true, mode) == ReplyResult::kNoRequest);
  CHECK(mode == OpenMode::kGone && rig.session->stats().handles_cached == 1);
  pass("a handle is known by its number alone, and no number is given twice");
}

void interrupted_callers() {
  std::atomic<int> questions{0};
  SessionOptions options;
  // Stays at first: it got a signal that it has a handler for.
  options.caller_leaves = [&](uint32_t) { return ++questions > 2; };
  Rig rig(options);
  CHECK(rig.kernel.negotiate());
  TestFile file(6, kPage);
  rig.open(file);
  const auto read = rig.read(1, 0, 10);
  const auto id = rig.await(EventKind::kReadWaiting).at<uint64_t>(16);
  rig.kernel.interrupt(read->unique);
  CHECK(rig.end_of(read) == EINTR && questions == 3);
  const Record ended = rig.await(EventKind::kReadEnded);
  CHECK(ended.at<uint64_t>(16) == id && ended.at<uint32_t>(12) == static_cast<uint32_t>(ReadResult::kInterrupted));
  // What changes nothing may end; what may have changed something already must not.
  const uint64_t making = rig.kernel.send(fuse::kMkdir, 1, body_of({fuse::kMkdir, 8, {"a"}, {}, 0, -1}));
  const uint32_t making_slot = rig.await_request(fuse::kMkdir);
  const uint64_t looking = rig.kernel.send(fuse::kLookup, 1, name_body("a"));
  const uint32_t looking_slot = rig.await_request(fuse::kLookup);
  rig.kernel.interrupt(making);
  rig.kernel.interrupt(looking);
  CHECK(rig.kernel.await([&] { return rig.kernel.is_answered(looking); }));
  CHECK(rig.session->reply(looking_slot, 0, Bytes(128)) == ReplyResult::kGone);
  CHECK(rig.session->reply(looking_slot, 0, Bytes(128)) == ReplyResult::kNoRequest);
  CHECK(rig.session->reply(making_slot, EROFS, {}) == ReplyResult::kTold);
  pass("who leaves is let go with EINTR, who stays is answered");
}

void negotiations() {
  const auto init = [](Rig& rig, uint32_t major, uint32_t minor, uint64_t flags) {
    const auto answer = rig.kernel.call(fuse::kInit, 0, init_body(major, minor, flags));
    fuse::InitOut out{};
    if (answer->error == 0) std::memcpy(&out, answer->body.data(), sizeof out);
    return std::pair(answer->error, out);
  };
  {
    Rig rig;
    CHECK(init(rig, 7, 22, 0).first == EPROTO);
    CHECK(rig.await(EventKind::kEnded).at<uint32_t>(8) == EPROTO);
  }
  Rig rig;
  CHECK(init(rig, 8, 1, 0).second.major == 7);
  CHECK(rig.take_all(EventKind::kNegotiated).empty());
  const auto [error, plain] = init(rig, 7, 31, fuse::kAsyncRead);
  CHECK(error == 0 && plain.flags == fuse::kAsyncRead && plain.max_pages == 0 && plain.max_write == 32 * 4096);
  const Record told = rig.await(EventKind::kNegotiated);
  CHECK(told.at<uint32_t>(8) == 7 && told.at<uint32_t>(12) == 31 && told.at<uint64_t>(16) == fuse::kAsyncRead);
  CHECK(told.at<uint32_t>(24) == 32 * 4096 && told.at<uint32_t>(36) == 0);
  // Without INIT_EXT the upper flags are not there, whatever the bytes say; passthrough is not asked for unbidden.
  CHECK(init(rig, 7, 40, fuse::kHasResend).second.flags2 == 0);
  const auto extended = init(rig, 7, 40, fuse::kInitExt | fuse::kHasResend | fuse::kPassthrough).second;
  CHECK(extended.flags2 == fuse::kHasResend >> 32 && extended.max_stack_depth == 0);
  pass("INIT grants what was offered and is wanted, and refuses what is too old");
}

void traced_reads() {
  SessionOptions options;
  options.trace_reads = true;
  Rig rig(options);
  CHECK(rig.kernel.negotiate());
  TestFile file(8, 2 * kPage);
  file.fill(0, kPage);
  rig.open(file);
  for (const uint64_t offset : {uint64_t{0}, file.size()}) {
    CHECK(rig.end_of(rig.read(1, offset, 10)) == 0);
    const auto id = rig.await(EventKind::kReadEntered).at<uint64_t>(16);
    CHECK(rig.await(EventKind::kReadEnded).at<uint64_t>(16) == id);
  }
  const auto read = rig.read(1, kPage, 10);
  const auto id = rig.await(EventKind::kReadEntered).at<uint64_t>(16);
  CHECK(rig.await(EventKind::kReadWaiting).at<uint64_t>(16) == id);
  CHECK(rig.session->fail_read(id, ENXIO) && rig.end_of(read) == ENXIO && !rig.session->fail_read(id, ENXIO));
  CHECK(rig.await(EventKind::kReadEnded).at<uint64_t>(16) == id);
  pass("a traced read is told of from its beginning to its end, by one number");
}

void notices_to_the_kernel() {
  Rig rig;
  CHECK(rig.kernel.negotiate());
  rig.session->invalidate_entry(5, "a name");
  rig.session->invalidate_inode(6);
  rig.kernel.await_notices(2);
  const auto notices = rig.kernel.notices();
  CHECK(notices[0].first == fuse::kNotifyInvalEntry && load<uint64_t>(notices[0].second) == 5);
  CHECK(std::strcmp(reinterpret_cast<const char*>(notices[0].second.data()) + 16, "a name") == 0);
  CHECK(notices[1].first == fuse::kNotifyInvalInode && load<uint64_t>(notices[1].second) == 6);
  pass("invalidations reach the kernel in order and in form");
}

void reply_that_the_kernel_refuses() {
  Rig rig;
  CHECK(rig.kernel.negotiate());
  rig.kernel.make_replies_small();
  CHECK(rig.kernel.send(fuse::kReaddir, 1, read_body(0, 0, 65536)) != 0);
  const uint32_t slot = rig.await_request(fuse::kReaddir);
  CHECK(rig.session->reply(slot, 0, Bytes(65536)) == ReplyResult::kGone);
  CHECK(rig.kernel.await([&] { return rig.kernel.all_answered(); }));
  const Record problem = rig.await(EventKind::kProblem);
  CHECK(problem.at<uint32_t>(8) == static_cast<uint32_t>(Problem::kReplyRefused) && problem.at<uint32_t>(12) == EMSGSIZE);
  CHECK(rig.session->stats().replies_refused == 1);
  pass("who waits for a reply that the kernel refuses gets an error, and it is told of");
}

}  // namespace

void run_session_cases() {
  deadline_needs_no_javascript();
  published_bytes_end_the_wait();
  file_that_was_cut();
  closed_file();
  revoked_file();
  bytes_that_went();
  bytes_that_went_once_more();
  handles_of_others();
  interrupted_callers();
  negotiations();
  traced_reads();
  notices_to_the_kernel();
  reply_that_the_kernel_refuses();
}

}  // namespace sluice::test
