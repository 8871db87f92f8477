#include "session.h"

#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Ends a read(2) of the device; sent until the thread has seen it.
const int kWakeSignal = SIGRTMAX - 3;
constexpr milliseconds kSignalInterval{10};
constexpr milliseconds kStopLimit{5'000};
// How often callers that were interrupted are looked at: rare, and a person waits.
constexpr milliseconds kLeavingInterval{100};
// Room for the headers of a WRITE before its data.
constexpr size_t kMessageSlack = 4096;
// Read-ahead of all files together: the kernel's default of 12 lets one slow file hold up the others.
constexpr uint16_t kBackgroundMax = 256;
constexpr uint16_t kCongestion = 192;
// A local file on an overlay is one file system deep itself.
constexpr uint32_t kStackDepthMax = 2;

class Buffer {
 public:
  // Pages are taken when they are touched.
  explicit Buffer(size_t bytes) : bytes_(bytes) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    data_ = memory == MAP_FAILED ? nullptr : static_cast<uint8_t*>(memory);
  }
  ~Buffer() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::span<uint8_t> span() { return {data_, data_ == nullptr ? 0 : bytes_}; }

 private:
  size_t bytes_;
  uint8_t* data_;
};

void install_wake_signal() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    // Without SA_RESTART: the read ends with EINTR.
    ::sigaction(kWakeSignal, &action, nullptr);
  });
}

// Signals of the process are for its other threads.
void block_signals(bool but_wake) {
  sigset_t signals;
  sigfillset(&signals);
  if (but_wake) sigdelset(&signals, kWakeSignal);
  pthread_sigmask(SIG_SETMASK, &signals, nullptr);
}

struct RunningSessions {
  std::mutex mutex;
  std::vector<std::weak_ptr<Session>> sessions;
};

RunningSessions& running_sessions() {
  static auto* sessions = new RunningSessions();
  return *sessions;
}

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

std::vector<std::shared_ptr<Session>> Session::running() {
  auto& registry = running_sessions();
  std::lock_guard lock(registry.mutex);
  std::vector<std::shared_ptr<Session>> sessions;
  for (const auto& weak : registry.sessions)
    if (auto session = weak.lock()) sessions.push_back(std::move(session));
  return sessions;
}

std::shared_ptr<Session> Session::start(SessionOptions options) {
  install_wake_signal();
  std::shared_ptr<Session> session(new Session(std::move(options)));
  {
    auto& registry = running_sessions();
    std::lock_guard lock(registry.mutex);
    std::erase_if(registry.sessions, [](const auto& weak) { return weak.expired(); });
    registry.sessions.push_back(session);
  }
  session->start_threads();
  return session;
}

Session::Session(SessionOptions options)
    : options_(std::move(options)),
      device_(options_.descriptor, options_.threads, options_.clone_descriptors),
      events_(options_.wake),
      open_files_({
          .open =
              [this](int descriptor) {
                fuse::BackingMap map{descriptor, 0, 0};
                const int id = ::ioctl(device_.descriptor(0), fuse::kIoctlBackingOpen, &map);
                return id > 0 ? id : -(id < 0 ? errno : EINVAL);
              },
          .close =
              [this](int backing_id) {
                uint32_t id = static_cast<uint32_t>(backing_id);
                ::ioctl(device_.descriptor(0), fuse::kIoctlBackingClose, &id);
              },
          .on_unavailable = [this](int error) { problem(Problem::kNoPassthrough, error, 0); },
      }),
      workers_(options_.threads) {
  device_.on_refused = [this](int error) {
    counters_.replies_refused.fetch_add(1, std::memory_order_relaxed);
    problem(Problem::kReplyRefused, error, 0);
  };
}

Session::~Session() = default;

void Session::start_threads() {
  // Every thread keeps the session alive, and says when it ends: `enter` and `leave` run under the lock.
  auto self = shared_from_this();
  const auto launch = [&](const char* name, bool wakes, auto run, auto enter, auto leave) {
    std::lock_guard lock(threads_mutex_);
    std::thread thread([self, wakes, run, leave] {
      block_signals(wakes);
      run();
      std::lock_guard lock(self->threads_mutex_);
      leave();
      self->threads_signal_.notify_all();
    });
    enter(thread.native_handle());
    pthread_setname_np(thread.native_handle(), name);
    thread.detach();
  };
  for (unsigned index = 0; index < options_.threads; ++index) {
    launch("sluice-fuse", true, [this, index] { run_worker(index); },
           [this](pthread_t id) { workers_running_.push_back(id); },
           [this] { std::erase(workers_running_, pthread_self()); });
  }
  const auto one_more = [this](pthread_t) { ++helpers_running_; };
  const auto one_less = [this] { --helpers_running_; };
  launch("sluice-waker", false, [this] { run_waker(); }, one_more, one_less);
  launch("sluice-timer", false, [this] { run_timer(); }, one_more, one_less);
  launch("sluice-notify", false, [this] { run_notifier(); }, [this](pthread_t) { ++notifiers_running_; },
         [this] { --notifiers_running_; });
}

// ── Session threads ─────────────────────────────────────────────────────────────────────────────────────────────────────

void Session::run_worker(unsigned index) {
  Buffer message(options_.read_bytes_max + kMessageSlack);
  Buffer scratch(options_.read_bytes_max);
  if (message.span().empty() || scratch.span().empty()) return ended(ENOMEM);
  for (;;) {
    const ssize_t length = ::read(device_.descriptor(index), message.span().data(), message.span().size());
    if (length > 0) {
      dispatch(index, message.span().first(static_cast<size_t>(length)), scratch.span());
      if (finishing_) return;
      continue;
    }
    const int error = length == 0 ? ENODEV : errno;
    // ENOENT: the caller went away before the request was handed out.
    if (error == EINTR || error == ENOENT) {
      if (finishing_) return;
      continue;
    }
    if (error == EAGAIN) {
      pollfd wait{device_.descriptor(index), POLLIN, 0};
      ::poll(&wait, 1, -1);
      if (finishing_) return;
      continue;
    }
    return ended(error);
  }
}

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
  uint64_t wanted = fuse::kAsyncRead | fuse::kAtomicOTrunc | fuse::kBigWrites | fuse::kDoReaddirplus |
                    fuse::kReaddirplusAuto | fuse::kAsyncDio | fuse::kParallelDirops | fuse::kMaxPages |
                    fuse::kExplicitInvalData | fuse::kInitExt | fuse::kNoExportSupport | fuse::kHasResend;
  if (options_.passthrough) wanted |= fuse::kPassthrough;
  const uint64_t granted = offered & wanted;
  const bool large = (granted & fuse::kMaxPages) != 0;
  // Without FUSE_MAX_PAGES a request has 32 pages.
  const uint32_t read_bytes = large ? options_.read_bytes_max : std::min(options_.read_bytes_max, 32u * 4096);
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
  if (!device_.reply(index, unique, bytes_of(out))) return;
  events_.push(EventKind::kNegotiated,
               NegotiatedEvent{in.major, std::min(in.minor, fuse::kMinor), granted, read_bytes, options_.threads,
                               device_.count() > 1 ? 1u : 0u, passthrough ? 1u : 0u});
}

void Session::read(unsigned index, const Request& request, std::span<uint8_t> scratch) {
  const auto in = load<fuse::ReadIn>(request.body);
  auto file = open_files_.file_of(in.fh);
  if (file == nullptr) return hand_over(index, request);
  counters_.read_requests.fetch_add(1, std::memory_order_relaxed);
  const uint64_t size = file->availability.size();
  const uint64_t left = in.offset < size ? size - in.offset : 0;
  const auto length = static_cast<uint32_t>(std::min<uint64_t>({in.size, left, scratch.size()}));
  Read read{.unique = request.header.unique,
            .device = index,
            .file = std::move(file),
            .handle = in.fh,
            .offset = in.offset,
            .length = length,
            .thread_id = request.header.pid,
            .since = {}};
  if (options_.trace_reads) {
    read.since = steady_clock::now();
    const uint64_t id = last_read_.fetch_add(1) + 1;
    read.id = id;
    // An ENTER that was lost has no end either.
    if (!events_.push(EventKind::kReadEntered, read_event(read))) read.id = 0;
  }
  if (length == 0) return answer_served(read, {});
  if (read.available()) {
    const bool complete = read.file->availability.complete();
    if (!complete) events_.push(EventKind::kReadObserved, ReadObservedEvent{read.file->id, length, in.offset});
    return serve(read, scratch);
  }
  if (read.id == 0) {
    read.since = steady_clock::now();
    read.id = last_read_.fetch_add(1) + 1;
  }
  counters_.reads_parked.fetch_add(1, std::memory_order_relaxed);
  const size_t parked = parked_.park(read, [&] { events_.push(EventKind::kReadWaiting, read_event(read)); });
  if (parked == 0) return end_read(read, ReadResult::kFailed, EIO);
  // Only now look again: whoever publishes or closes after this finds the read parked.
  if (!read.available() && !read.file->closed()) {
    // The timer waits for the oldest; the others' turns come after it.
    if (parked == 1) kick_timer();
    return;
  }
  const auto own = parked_.take(read.id);
  if (!own) return;
  if (own->available()) serve(*own, scratch);
  else end_read(*own, ReadResult::kFailed, EIO);
}

void Session::serve(const Read& read, std::span<uint8_t> scratch) {
  const int fd = read.file->descriptor();
  uint32_t filled = 0;
  int error = fd < 0 ? EBADF : 0;
  while (error == 0 && filled < read.length) {
    const ssize_t count = ::pread(fd, scratch.data() + filled, read.length - filled,
                                  static_cast<off_t>(read.offset + filled));
    if (count > 0) filled += static_cast<uint32_t>(count);
    // Cut from outside: never to be filled up with zeros.
    else if (count == 0) error = ENODATA;
    else if (errno != EINTR) error = errno;
  }
  if (error == 0) return answer_served(read, scratch.first(filled));
  problem(Problem::kLocalFileFailed, error, read.file->id);
  end_read(read, ReadResult::kFailed, EIO);
}

void Session::answer_served(const Read& read, std::span<const uint8_t> bytes) {
  counters_.reads_served.fetch_add(1, std::memory_order_relaxed);
  counters_.bytes_read.fetch_add(bytes.size(), std::memory_order_relaxed);
  // Told first: who has the bytes may ask for the end of its read.
  tell_end(read, ReadResult::kOk);
  device_.reply(read.device, read.unique, bytes);
}

void Session::end_read(const Read& read, ReadResult result, int error) {
  counters_.reads_failed.fetch_add(1, std::memory_order_relaxed);
  tell_end(read, result);
  device_.reply_error(read.device, read.unique, error);
}

void Session::tell_end(const Read& read, ReadResult result) {
  if (read.id == 0) return;
  events_.push(EventKind::kReadEnded, ReadEndedEvent{read.file->id, result, read.id, ms_since(read.since)});
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

// ── What JavaScript calls ───────────────────────────────────────────────────────────────────────────────────────────────

Session::ReplyResult Session::reply(uint32_t slot, int error, std::span<const uint8_t> body) {
  const auto waiting = pending_.peek(slot);
  if (!waiting) return ReplyResult::kNoRequest;
  if (error == 0) {
    const Operation& operation = operation_of(waiting->opcode);
    const bool is_fixed = operation.known && operation.reply == Operation::Reply::kFixed;
    if (is_fixed ? body.size() != operation.reply_bytes : body.size() > waiting->reply_bytes_max)
      return ReplyResult::kWrongLength;
  }
  const auto request = pending_.take(slot);
  if (!request) return ReplyResult::kNoRequest;
  if (request->answered) return ReplyResult::kGone;
  const bool told = error != 0 ? device_.reply_error(request->device, request->unique, error)
                               : device_.reply(request->device, request->unique, body);
  return told ? ReplyResult::kTold : ReplyResult::kGone;
}

Session::ReplyResult Session::reply_open(uint32_t slot, uint64_t handle, std::shared_ptr<LocalFile> file, bool may_pass,
                                         bool keep_cache, OpenMode& mode) {
  mode = OpenMode::kGone;
  const auto waiting = pending_.peek(slot);
  if (!waiting || waiting->opcode != fuse::kOpen) return ReplyResult::kNoRequest;
  const auto request = pending_.take(slot);
  if (!request) return ReplyResult::kNoRequest;
  if (request->answered) return ReplyResult::kGone;
  // Before the reply: the first READ may come before it returns.
  const auto decision = open_files_.open(handle, request->node, std::move(file), may_pass);
  if (!decision) {
    device_.reply_error(request->device, request->unique, EIO);
    return ReplyResult::kNoRequest;
  }
  fuse::OpenOut out{handle, fuse::kOpenNoFlush, 0};
  if (decision->mode == OpenMode::kPassthrough) {
    // The kernel takes no flag about its cache here: it has none of this handle.
    out.open_flags |= fuse::kOpenPassthrough;
    out.backing_id = decision->backing_id;
  } else if (keep_cache) {
    out.open_flags |= fuse::kOpenKeepCache;
  }
  if (!device_.reply(request->device, request->unique, bytes_of(out))) {
    open_files_.release(handle);
    return ReplyResult::kGone;
  }
  mode = decision->mode;
  return ReplyResult::kTold;
}

bool Session::fail_read(uint64_t id, int error) {
  const auto read = parked_.take(id);
  if (!read) return false;
  end_read(*read, ReadResult::kFailed, error);
  return true;
}

void Session::file_published(const LocalFile& file) {
  auto ready = parked_.take_ready(file);
  if (ready.empty()) return;
  std::lock_guard lock(woken_mutex_);
  for (Read& read : ready) woken_.push_back(std::move(read));
  woken_signal_.notify_one();
}

void Session::file_closed(const LocalFile& file) {
  for (const Read& read : parked_.take_of(file)) end_read(read, ReadResult::kFailed, EIO);
}

void Session::invalidate_entry(uint64_t parent, std::string name) {
  std::lock_guard lock(notify_mutex_);
  notifications_.push_back({fuse::kNotifyInvalEntry, parent, std::move(name)});
  notify_signal_.notify_one();
}

void Session::invalidate_inode(uint64_t node) {
  std::lock_guard lock(notify_mutex_);
  notifications_.push_back({fuse::kNotifyInvalInode, node, {}});
  notify_signal_.notify_one();
}

SessionStats Session::stats() const {
  const auto get = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  const auto oldest = pending_.oldest();
  return {get(counters_.read_requests),
          get(counters_.reads_served),
          get(counters_.reads_failed),
          get(counters_.bytes_read),
          get(counters_.reads_parked),
          parked_.size(),
          get(counters_.requests),
          pending_.waiting(),
          open_files_.count(OpenMode::kCached),
          open_files_.count(OpenMode::kPassthrough),
          get(counters_.replies_refused),
          get(counters_.requests_malformed),
          oldest ? ms_since(*oldest) : 0};
}

// ── The other threads ───────────────────────────────────────────────────────────────────────────────────────────────────

void Session::run_waker() {
  Buffer scratch(options_.read_bytes_max);
  for (;;) {
    std::unique_lock lock(woken_mutex_);
    woken_signal_.wait(lock, [&] { return stopping_ || !woken_.empty(); });
    if (woken_.empty()) return;
    const Read read = std::move(woken_.front());
    woken_.pop_front();
    lock.unlock();
    if (scratch.span().empty()) end_read(read, ReadResult::kFailed, ENOMEM);
    else serve(read, scratch.span());
  }
}

void Session::run_timer() {
  for (;;) {
    std::unique_lock lock(timer_mutex_);
    timer_dirty_ = false;
    lock.unlock();
    auto wake = SteadyTime::max();
    if (const auto oldest = parked_.oldest()) wake = *oldest + options_.read_deadline;
    if (parked_.has_interrupted() || pending_.has_interrupted())
      wake = std::min(wake, steady_clock::now() + kLeavingInterval);
    lock.lock();
    const auto is_due = [&] { return stopping_ || timer_dirty_; };
    if (wake == SteadyTime::max()) timer_signal_.wait(lock, is_due);
    else timer_signal_.wait_until(lock, wake, is_due);
    lock.unlock();
    if (stopping_) return;
    for (const Read& read : parked_.take_older_than(steady_clock::now() - options_.read_deadline))
      end_read(read, ReadResult::kDeadline, EIO);
    for (const Read& read : parked_.take_leaving(options_.caller_leaves))
      end_read(read, ReadResult::kInterrupted, EINTR);
    for (const PendingRequest& request : pending_.answer_leaving(options_.caller_leaves))
      device_.reply_error(request.device, request.unique, EINTR);
  }
}

void Session::run_notifier() {
  for (;;) {
    std::unique_lock lock(notify_mutex_);
    notify_signal_.wait(lock, [&] { return stopping_ || !notifications_.empty(); });
    if (stopping_) return;
    const Notification next = std::move(notifications_.front());
    notifications_.pop_front();
    lock.unlock();
    // ENOENT: the kernel does not know it, which is as good.
    if (next.code == fuse::kNotifyInvalEntry) {
      const fuse::NotifyInvalEntryOut out{next.node, static_cast<uint32_t>(next.name.size()), 0};
      device_.notify(next.code, bytes_of(out), {reinterpret_cast<const uint8_t*>(next.name.data()), next.name.size()});
    } else {
      device_.notify(next.code, bytes_of(fuse::NotifyInvalInodeOut{next.node, 0, 0}), {});
    }
  }
}

// ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Session::ended(int error) {
  if (ended_.exchange(true)) return;
  events_.push(EventKind::kEnded, EndedEvent{static_cast<uint32_t>(error), 0});
}

void Session::answer_all(int error) {
  for (const Read& read : parked_.close()) end_read(read, ReadResult::kFailed, error);
  for (const PendingRequest& request : pending_.close())
    device_.reply_error(request.device, request.unique, error);
}

void Session::stop() {
  std::lock_guard once(stop_mutex_);
  if (stopped_) return;
  stopped_ = true;
  // Workers go on: what waits is answered, what comes is refused, so that nobody holds a lock the notifier waits for.
  stopping_ = true;
  answer_all(EIO);
  const auto wake_all = [this] {
    for (auto [mutex, signal] : {std::pair{&woken_mutex_, &woken_signal_}, {&timer_mutex_, &timer_signal_},
                                 {&notify_mutex_, &notify_signal_}}) {
      std::lock_guard lock(*mutex);
      signal->notify_all();
    }
  };
  wake_all();
  const auto limit = steady_clock::now() + kStopLimit;
  std::unique_lock lock(threads_mutex_);
  threads_signal_.wait_until(lock, limit, [&] { return notifiers_running_ == 0; });
  finishing_ = true;
  const auto all_ended = [&] { return workers_running_.empty() && helpers_running_ == 0; };
  while (!all_ended() && steady_clock::now() < limit) {
    // A signal that comes just before the read has no effect: sent until the thread has gone.
    for (const pthread_t id : workers_running_) pthread_kill(id, kWakeSignal);
    threads_signal_.wait_for(lock, kSignalInterval, all_ended);
  }
  lock.unlock();
  open_files_.clear();
  device_.disconnect();
  ended(ECANCELED);
}

void Session::problem(Problem code, int error, uint64_t detail) {
  events_.push(EventKind::kProblem, ProblemEvent{code, static_cast<uint32_t>(error), detail});
}

double Session::ms_since(SteadyTime since) const {
  return std::chrono::duration<double, std::milli>(steady_clock::now() - since).count();
}

ReadEvent Session::read_event(const Read& read) const {
  return {read.file->id, read.length, read.id, read.offset, read.handle, ms_since(read.since)};
}

}  // namespace sluice
