// The life of a session: its threads from start to stop.
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
  try {
    session->start_threads();
  } catch (...) {
    // The system has no thread left: those that run end.
    session->stop();
    throw;
  }
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

// ── The other threads ───────────────────────────────────────────────────────────────────────────────────────────────────

void Session::run_waker() {
  Buffer scratch(options_.read_bytes_max);
  for (;;) {
    std::unique_lock lock(woken_mutex_);
    woken_signal_.wait(lock, [&] { return stopping_ || !woken_.empty(); });
    if (woken_.empty()) {
      waker_ended_ = true;
      return;
    }
    const Read read = std::move(woken_.front());
    woken_.pop_front();
    lock.unlock();
    if (scratch.span().empty()) end_read(read, ReadResult::kFailed, ENOMEM);
    else if (!serve(read, scratch.span())) wait(read, Told::kWaiting, scratch.span());
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
    const auto now = steady_clock::now();
    for (const Read& read : parked_.take_older_than(now - options_.read_deadline)) {
      expired_.add(read, now);
      end_read(read, ReadResult::kDeadline, EIO);
    }
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
  const bool hangs = !all_ended() || notifiers_running_ > 0;
  lock.unlock();
  {
    // Calls that took out a request or a read before `answer_all` have answered it then.
    std::unique_lock calls(calls_mutex_);
    open_files_.clear();
    device_.disconnect(hangs);
  }
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
