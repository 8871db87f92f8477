#include "fake_host.h"

#include <algorithm>
#include <cerrno>

#include "check.h"

namespace sluice::test {
namespace {

using ReplyResult = Session::ReplyResult;

// As the addon does: other work gets its turn after so many.
constexpr int kBatchesMax = 8;
constexpr std::chrono::microseconds kTurn{200};

}  // namespace

FakeHost::FakeHost(uint64_t seed, HostOptions options, FakeKernel& kernel, Files files)
    : random_(seed), options_(options), kernel_(kernel), files_(std::move(files)) {}

void FakeHost::wake() {
  std::lock_guard lock(mutex_);
  woken_ = true;
  woken_signal_.notify_one();
}

void FakeHost::start(std::shared_ptr<Session> session) {
  session_ = std::move(session);
  thread_ = std::thread([this] { run(); });
}

void FakeHost::run() {
  for (;;) {
    bool finishing;
    {
      std::unique_lock lock(mutex_);
      const auto is_due = [&] { return woken_ || finishing_; };
      // With work of its own it looks again soon, else a missed wake would leave it here.
      if (waiting_.empty() && reads_.empty()) woken_signal_.wait(lock, is_due);
      else woken_signal_.wait_for(lock, kTurn, is_due);
      woken_ = false;
      finishing = finishing_;
    }
    for (int batch = 0; drain(); ++batch) {
      if (batch < kBatchesMax || finishing) continue;
      wake();
      break;
    }
    if (finishing && waiting_.empty()) return;
    if (!finishing && random_.percent(options_.block_percent))
      std::this_thread::sleep_for(std::chrono::microseconds(random_.below(5'000)));
    for (uint64_t turns = finishing ? waiting_.size() : random_.below(waiting_.size() + 1); turns > 0; --turns) answer_one();
    if (!finishing) make_mischief();
  }
}

void FakeHost::finish() {
  {
    std::lock_guard lock(mutex_);
    finishing_ = true;
    woken_signal_.notify_one();
  }
  thread_.join();
  CHECK(reads_.empty(), reads_.size() << " reads that were told of have not ended");
  CHECK(ended_ == 1, "ENDED came " << ended_ << " times");
  CHECK(forgotten_ == kernel_.forgotten(), "forgotten lookups do not add up");
  CHECK(failed_ends_ >= failed_reads_, failed_reads_ << " reads failed, " << failed_ends_ << " ended so");
  const SessionStats stats = session_->stats();
  CHECK(stats.reads_waiting == 0 && stats.requests_waiting == 0);
  CHECK(stats.handles_cached == 0 && stats.handles_passthrough == 0);
  CHECK(stats.read_requests == stats.reads_served + stats.reads_failed);
  CHECK(stats.requests_malformed == problems(Problem::kMalformedRequest));
  session_.reset();
}

uint64_t FakeHost::problems(Problem code) const {
  const auto found = problems_.find(static_cast<uint32_t>(code));
  return found == problems_.end() ? 0 : found->second;
}

// ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

bool FakeHost::drain() {
  const size_t filled = session_->events().drain(events_);
  CHECK(filled <= events_.size());
  std::span<const uint8_t> rest(events_.data(), filled);
  while (!rest.empty()) {
    CHECK(rest.size() >= EventQueue::kHeaderBytes);
    const auto bytes = load<uint32_t>(rest);
    CHECK(bytes % 8 == 0 && bytes >= EventQueue::kHeaderBytes && bytes <= rest.size(), "a record of " << bytes);
    take(static_cast<EventKind>(load<uint32_t>(rest, 4)), rest.first(bytes));
    rest = rest.subspan(bytes);
  }
  return filled > 0;
}

void FakeHost::take(EventKind kind, std::span<const uint8_t> record) {
  const auto is_long = [&](size_t bytes) { CHECK(record.size() == bytes, "record of kind " << static_cast<int>(kind)); };
  CHECK(negotiated_ == 1 || kind == EventKind::kNegotiated || kind == EventKind::kEnded || kind == EventKind::kProblem,
        "a record of kind " << static_cast<int>(kind) << " before the negotiation");
  switch (kind) {
    case EventKind::kRequest:
      return take_request(record);
    case EventKind::kForget:
      return take_forget(record);
    case EventKind::kReadEntered:
    case EventKind::kReadWaiting:
      is_long(48);
      return take_read(kind, record);
    case EventKind::kReadEnded:
      is_long(32);
      return take_read_end(record);
    case EventKind::kReadObserved: {
      is_long(24);
      const TestFile* file = file_by_id(load<uint32_t>(record, 8));
      CHECK(file != nullptr && load<uint64_t>(record, 16) + load<uint32_t>(record, 12) <= file->size());
      return;
    }
    case EventKind::kReleased: {
      is_long(24);
      const auto found = handles_.find(load<uint64_t>(record, 8));
      CHECK(found != handles_.end() && found->second == load<uint64_t>(record, 16), "an unknown handle was released");
      handles_.erase(found);
      return;
    }
    case EventKind::kNegotiated:
      is_long(40);
      CHECK(++negotiated_ == 1 && load<uint32_t>(record, 8) == 7);
      return;
    case EventKind::kProblem:
      is_long(24);
      problems_[load<uint32_t>(record, 8)] +=
          load<uint32_t>(record, 8) == static_cast<uint32_t>(Problem::kEventsLost) ? load<uint64_t>(record, 16) : 1;
      return;
    case EventKind::kEnded:
      is_long(16);
      CHECK(++ended_ == 1);
      return;
  }
  CHECK(false, "a record of kind " << static_cast<int>(kind));
}

void FakeHost::take_request(std::span<const uint8_t> record) {
  CHECK(record.size() >= 40);
  const auto body_bytes = load<uint32_t>(record, 36);
  CHECK(record.size() == (40 + size_t{body_bytes} + 7) / 8 * 8);
  const auto body = record.subspan(40, body_bytes);
  const Waiting request{load<uint32_t>(record, 8), load<uint32_t>(record, 12), load<uint64_t>(record, 16),
                        load<uint32_t>(record, 24), Bytes(body.begin(), body.end())};
  const Sent sent = kernel_.sent(request.uid);
  CHECK(sent.opcode == request.opcode && sent.node == request.node && sent.body == request.body);
  CHECK(load<uint32_t>(record, 28) == request.uid + 1 && load<uint32_t>(record, 32) == request.uid);
  for (const Waiting& other : waiting_) CHECK(other.slot != request.slot && other.uid != request.uid);
  waiting_.push_back(request);
}

void FakeHost::take_read(EventKind kind, std::span<const uint8_t> record) {
  const auto id = load<uint64_t>(record, 16);
  const TestFile* file = file_by_id(load<uint32_t>(record, 8));
  CHECK(file != nullptr && load<double>(record, 40) >= 0);
  CHECK(load<uint64_t>(record, 24) + load<uint32_t>(record, 12) <= file->size() || load<uint32_t>(record, 12) == 0);
  if (kind == EventKind::kReadEntered) {
    CHECK(options_.trace_reads && entered_.insert(id).second);
  } else {
    ++waits_;
    // Traced reads were entered before; else it is new, or waits again for bytes that came and went.
    CHECK(entered_.erase(id) == 1 || reads_.contains(id) || !reads_seen_.contains(id), "read " << id << " waits after its end");
  }
  reads_.insert(id);
  reads_seen_.insert(id);
}

void FakeHost::take_read_end(std::span<const uint8_t> record) {
  const auto id = load<uint64_t>(record, 16);
  CHECK(reads_.erase(id) == 1, "read " << id << " ended" << (reads_seen_.contains(id) ? " twice" : ", which never began"));
  CHECK(load<double>(record, 24) >= 0);
  const auto result = static_cast<ReadResult>(load<uint32_t>(record, 12));
  CHECK(result <= ReadResult::kFailed);
  CHECK(result != ReadResult::kDeadline || options_.short_deadline, "a deadline that was far away");
  failed_ends_ += result == ReadResult::kFailed;
}

void FakeHost::take_forget(std::span<const uint8_t> record) {
  const auto count = load<uint32_t>(record, 8);
  CHECK(record.size() == 16 + size_t{count} * 16);
  for (size_t at = 16; at < record.size(); at += 16) forgotten_[load<uint64_t>(record, at)] += load<uint64_t>(record, at + 8);
}

TestFile* FakeHost::file_of(uint64_t node) const {
  return node >= kFirstNode && node < kFirstNode + files_.size() ? files_[node - kFirstNode].get() : nullptr;
}

const TestFile* FakeHost::file_by_id(uint32_t id) const {
  const auto found = std::find_if(files_.begin(), files_.end(), [&](const auto& file) { return file->local()->id == id; });
  return found == files_.end() ? nullptr : found->get();
}

// ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

void FakeHost::answer_one() {
  const size_t at = random_.below(waiting_.size());
  const Waiting request = std::move(waiting_[at]);
  waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(at));
  if (random_.percent(options_.mischief_percent)) {
    const Bytes wrong(reply_length(request.opcode, request.body) + 1);
    CHECK(session_->reply(request.slot, 0, wrong) == ReplyResult::kWrongLength, "operation " << request.opcode);
    CHECK(session_->reply(request.slot + (1u << 17), EIO, {}) == ReplyResult::kNoRequest);
    if (request.opcode != fuse::kOpen) {
      OpenMode mode;
      CHECK(session_->reply_open(request.slot, 1, files_[0]->local(), true, true, mode) == ReplyResult::kNoRequest);
    }
  }
  answer(request);
  if (random_.percent(options_.mischief_percent))
    CHECK(session_->reply(request.slot, EIO, {}) == ReplyResult::kNoRequest, "a second answer was taken");
}

void FakeHost::answer(const Waiting& request) {
  if (request.opcode == fuse::kOpen) return answer_open(request);
  const auto length = reply_length(request.opcode, request.body);
  if (request.opcode == fuse::kRead) {
    const TestFile* file = file_of(request.node);
    const auto in = load<fuse::ReadIn>(request.body);
    if (in.fh < kHostHandle || file == nullptr) return check_outcome(request, session_->reply(request.slot, kUnknownHandle, {}));
    const uint64_t left = in.offset < file->size() ? file->size() - in.offset : 0;
    const Bytes bytes = file->bytes_at(in.offset, std::min<uint64_t>(in.size, left));
    return check_outcome(request, session_->reply(request.slot, 0, bytes));
  }
  const bool is_known = length > 0 || random_.percent(50);
  if (!is_known || random_.percent(20))
    return check_outcome(request, session_->reply(request.slot, static_cast<int>(random_.between(20, 90)), {}));
  check_outcome(request, session_->reply(request.slot, 0, Bytes(length, 'r')));
}

void FakeHost::answer_open(const Waiting& request) {
  TestFile* file = file_of(request.node);
  if (file == nullptr || file->is_closed()) return check_outcome(request, session_->reply(request.slot, ENOENT, {}));
  OpenMode mode = OpenMode::kPassthrough;
  if (random_.percent(15)) {
    Bytes out;
    append(out, fuse::OpenOut{kHostHandle + ++last_handle_, 0, 0});
    return check_outcome(request, session_->reply(request.slot, 0, out));
  }
  const uint64_t handle = ++last_handle_;
  const auto result =
      session_->reply_open(request.slot, handle, file->local(), random_.percent(50), random_.percent(50), mode);
  check_outcome(request, result);
  CHECK(mode == (result == ReplyResult::kTold ? OpenMode::kCached : OpenMode::kGone), "a socket cannot pass through");
  if (result == ReplyResult::kTold) handles_[handle] = request.node;
}

void FakeHost::check_outcome(const Waiting& request, ReplyResult result) {
  if (result == ReplyResult::kTold) return;
  CHECK(result == ReplyResult::kGone, "the reply to operation " << request.opcode << " was refused: "
                                                                << static_cast<int>(result));
  CHECK(stopping_ || kernel_.was_hung_up() || kernel_.sent(request.uid).was_interrupted,
        "a reply found its request gone without reason");
}

void FakeHost::make_mischief() {
  if (!reads_.empty() && random_.percent(options_.fail_percent)) failed_reads_ += session_->fail_read(*reads_.begin(), kFailedByHost);
  if (random_.percent(options_.mischief_percent)) {
    CHECK(!session_->fail_read(~0ull, EIO));
    CHECK(session_->reply(static_cast<uint32_t>(random_.next()) | 0x1ffff, EIO, {}) == ReplyResult::kNoRequest);
    session_->invalidate_entry(1, "name");
    session_->invalidate_inode(random_.below(200));
    session_->stats();
  }
  if (random_.percent(options_.close_percent)) {
    const auto& file = files_[random_.below(files_.size())];
    if (file->close()) session_->file_ended(*file->local());
  }
}

}  // namespace sluice::test
