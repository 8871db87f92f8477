// Requests of the kernel, each answered here or handed to JavaScript; runs on the session threads.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "session.h"

namespace sluice {
namespace {

using std::chrono::steady_clock;

// Read-ahead of all files together: the kernel's default of 12 lets one slow file hold up the others.
constexpr uint16_t kBackgroundMax = 256;
constexpr uint16_t kCongestion = 192;
// A local file on an overlay is one file system deep itself.
constexpr uint32_t kStackDepthMax = 2;
// Without FUSE_MAX_PAGES a request has 32 pages.
constexpr uint32_t kReadBytesClassic = 32 * 4096;

}  // namespace

void Session::dispatch(unsigned index, std::span<const uint8_t> message, std::span<uint8_t> scratch) {
  Request request;
  const ParseResult result = parse_request(message, request);
  if (result != ParseResult::kOk) return refuse_malformed(index, request, result);
  const uint64_t unique = request.header.unique;
  workers_[index].unique.store(unique);
  switch (request.header.opcode) {
    case fuse::kInit:
      negotiate(index, request);
      break;
    case fuse::kRead:
      read(index, request, scratch);
      break;
    case fuse::kForget:
    case fuse::kBatchForget:
      forget(request);
      break;
    case fuse::kRelease:
      release(index, request);
      break;
    case fuse::kInterrupt:
      interrupt(request);
      break;
    case fuse::kNotifyReply:
      break;
    case fuse::kDestroy:
      device_.reply(index, unique, {});
      break;
    default:
      hand_over(index, request);
  }
  workers_[index].unique.store(0);
  // An interrupt that came after the request was looked at, and before it was parked or handed over.
  if (interrupted_early(unique)) interrupt_waiting(unique);
}

void Session::refuse_malformed(unsigned index, const Request& request, ParseResult result) {
  counters_.requests_malformed.fetch_add(1, std::memory_order_relaxed);
  const bool has_header = result != ParseResult::kNoHeader;
  problem(Problem::kMalformedRequest, static_cast<int>(result), has_header ? request.header.opcode : 0);
  if (!has_header) return;
  const Operation& operation = operation_of(request.header.opcode);
  if (operation.known && operation.reply == Operation::Reply::kNone) return;
  device_.reply_error(index, request.header.unique, result == ParseResult::kBadName ? EINVAL : EIO);
}

void Session::negotiate(unsigned index, const Request& request) {
  fuse::InitIn in{};
  std::memcpy(&in, request.body.data(), std::min(sizeof in, request.body.size()));
  const uint64_t unique = request.header.unique;
  if (in.major < fuse::kMajor || (in.major == fuse::kMajor && in.minor < fuse::kMinorMin)) {
    device_.reply_error(index, unique, EPROTO);
    return ended(EPROTO);
  }
  fuse::InitOut out{};
  out.major = fuse::kMajor;
  out.minor = fuse::kMinor;
  // The kernel asks again with our major version.
  if (in.major > fuse::kMajor) {
    device_.reply(index, unique, bytes_of(out));
    return;
  }
  const bool extended = (in.flags & fuse::kInitExt) != 0 && request.body.size() >= sizeof in;
  const uint64_t offered = in.flags | (extended ? static_cast<uint64_t>(in.flags2) << 32 : 0);
  // Not FUSE_ASYNC_DIO: the kernel waits uninterruptibly then for a read with O_DIRECT, which no signal could end.
  uint64_t wanted = fuse::kAsyncRead | fuse::kAtomicOTrunc | fuse::kBigWrites | fuse::kDoReaddirplus |
                    fuse::kReaddirplusAuto | fuse::kParallelDirops | fuse::kMaxPages |
                    fuse::kExplicitInvalData | fuse::kInitExt | fuse::kNoExportSupport | fuse::kHasResend;
  if (options_.passthrough) wanted |= fuse::kPassthrough;
  const uint64_t granted = offered & wanted;
  const bool large = (granted & fuse::kMaxPages) != 0;
  const uint32_t read_bytes = large ? options_.read_bytes_max : std::min(options_.read_bytes_max, kReadBytesClassic);
  out.max_readahead = in.max_readahead;
  out.flags = static_cast<uint32_t>(granted);
  out.flags2 = static_cast<uint32_t>(granted >> 32);
  out.max_background = kBackgroundMax;
  out.congestion_threshold = kCongestion;
  out.max_write = read_bytes;
  out.time_gran = 1;
  out.max_pages = large ? static_cast<uint16_t>(options_.read_bytes_max / 4096) : 0;
  const bool passthrough = (granted & fuse::kPassthrough) != 0;
  out.max_stack_depth = passthrough ? kStackDepthMax : 0;
  open_files_.allow_passthrough(passthrough);
  // Told first: another thread may have the next request before this reply returns.
  events_.push(EventKind::kNegotiated,
               NegotiatedEvent{in.major, std::min(in.minor, fuse::kMinor), granted, read_bytes, options_.threads,
                               device_.count() > 1 ? 1u : 0u, passthrough ? 1u : 0u});
  device_.reply(index, unique, bytes_of(out));
}

void Session::forget(const Request& request) {
  if (request.header.opcode == fuse::kForget) {
    const fuse::ForgetOne one{request.header.nodeid, load<uint64_t>(request.body)};
    const uint32_t count[2] = {1, 0};
    events_.push(EventKind::kForget, count, bytes_of(one));
    return;
  }
  const auto in = load<fuse::BatchForgetIn>(request.body);
  const uint32_t count[2] = {in.count, 0};
  events_.push(EventKind::kForget, count,
               request.body.subspan(sizeof in, static_cast<size_t>(in.count) * sizeof(fuse::ForgetOne)));
}

void Session::release(unsigned index, const Request& request) {
  const auto handle = load<uint64_t>(request.body);
  const auto released = open_files_.release(handle);
  if (!released) return hand_over(index, request);
  events_.push(EventKind::kReleased, ReleasedEvent{handle, released->node});
  device_.reply(index, request.header.unique, {});
}

void Session::interrupt(const Request& request) {
  const auto unique = load<uint64_t>(request.body);
  if (interrupt_waiting(unique)) return;
  const auto is_worked_on = [&] {
    return std::any_of(workers_.begin(), workers_.end(), [&](const Worker& worker) { return worker.unique == unique; });
  };
  {
    std::lock_guard lock(early_mutex_);
    if (is_worked_on()) {
      early_interrupts_.insert(unique);
      has_early_ = true;
      // Its worker looks for it when it has finished; if that was just before, it is ours again.
      if (is_worked_on()) return;
      early_interrupts_.erase(unique);
    }
  }
  // Answered by now, or not yet seen by the thread that was given it: then the kernel sends it again.
  if (!interrupt_waiting(unique)) device_.repeat_interrupt(unique);
}

// False when neither JavaScript nor the parked reads have it.
bool Session::interrupt_waiting(uint64_t unique) {
  if (!parked_.interrupt(unique) && !pending_.interrupt(unique)) return false;
  // The timer looks at the caller at once and again: the kernel does not interrupt a second time.
  kick_timer();
  return true;
}

void Session::kick_timer() {
  std::lock_guard lock(timer_mutex_);
  timer_dirty_ = true;
  timer_signal_.notify_one();
}

bool Session::interrupted_early(uint64_t unique) {
  if (!has_early_.load()) return false;
  std::lock_guard lock(early_mutex_);
  const bool was = early_interrupts_.erase(unique) > 0;
  has_early_.store(!early_interrupts_.empty());
  return was;
}

void Session::hand_over(unsigned index, const Request& request) {
  const fuse::InHeader& header = request.header;
  const PendingRequest pending{.unique = header.unique,
                         .node = header.nodeid,
                         .opcode = header.opcode,
                         .thread_id = header.pid,
                         .reply_bytes_max = reply_bytes_max(request),
                         .interruptible = operation_of(header.opcode).interruptible,
                         .device = index,
                         .since = steady_clock::now()};
  const auto slot = pending_.add(pending, [&](uint32_t slot) {
    return events_.push(EventKind::kRequest,
                        RequestEvent{slot, header.opcode, header.nodeid, header.uid, header.gid, header.pid,
                                     static_cast<uint32_t>(request.body.size())},
                        request.body);
  });
  counters_.requests.fetch_add(1, std::memory_order_relaxed);
  if (!slot) device_.reply_error(index, header.unique, stopping_ ? EIO : ENOMEM);
}

}  // namespace sluice
