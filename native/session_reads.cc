// READ: answered from the local file when its bytes are there, parked when they are not, and looked at again when bytes came
// or went meanwhile. Runs on the session threads, and on the waker for what was parked.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "session.h"

namespace sluice {
namespace {

using std::chrono::steady_clock;

// 0, or an errno. A file that ends before was cut from outside: never to be filled up with zeros.
int read_fully(int fd, std::span<uint8_t> target, uint64_t offset) {
  if (fd < 0) return EBADF;
  while (!target.empty()) {
    const ssize_t count = ::pread(fd, target.data(), target.size(), static_cast<off_t>(offset));
    if (count == 0) return ENODATA;
    if (count < 0) {
      if (errno != EINTR) return errno;
      continue;
    }
    target = target.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return 0;
}

}  // namespace

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
    if (serve(read, scratch)) return;
  }
  const bool is_told = read.id != 0;
  if (!is_told) read.since = steady_clock::now();
  if (expired_.share(read, read.since)) return end_read(read, ReadResult::kDeadline, EIO);
  wait(std::move(read), is_told ? Told::kEntered : Told::kNothing, scratch);
}

// Parks a read whose bytes are not there, for the first time or, when they had come and have gone again, once more.
void Session::wait(Read read, Told told, std::span<uint8_t> scratch) {
  for (;;) {
    if (told == Told::kNothing) read.id = last_read_.fetch_add(1) + 1;
    const bool is_first = told != Told::kWaiting;
    const size_t parked = parked_.park(read, [&] {
      if (is_first) counters_.reads_parked.fetch_add(1, std::memory_order_relaxed);
      events_.push(EventKind::kReadWaiting, read_event(read));
    });
    if (parked == 0) {
      // The session ends. What JavaScript has not heard of has no end for it either.
      if (told == Told::kNothing) read.id = 0;
      return end_read(read, ReadResult::kFailed, EIO);
    }
    told = Told::kWaiting;
    // The timer waits for the oldest, the others' turns come after it. In any case: one that came second while this is
    // parked relies on it. One that is parked again may be the oldest, or was interrupted.
    if (parked == 1 || !is_first) kick_timer();
    // Only now look again: whoever publishes, closes or revokes after this finds the read parked.
    if (!read.available() && !read.in_vain()) return;
    auto own = parked_.take(read.id);
    if (!own) return;
    if (serve(*own, scratch)) return;
    read = std::move(*own);
  }
}

// Answers a read whose bytes are there, or will never be; false when it has to wait. What was taken out of the file while it
// was read is not told from zeros: then all of it is read anew.
bool Session::serve(const Read& read, std::span<uint8_t> scratch) {
  const LocalFile& file = *read.file;
  for (;;) {
    const uint32_t generation = file.availability.generation();
    const bool available = read.available();
    if (file.revoked() || (!available && file.closed())) {
      end_read(read, ReadResult::kFailed, EIO);
      return true;
    }
    if (!available) return false;
    const int error = read_fully(file.descriptor(), scratch.first(read.length), read.offset);
    if (error != 0) {
      problem(Problem::kLocalFileFailed, error, file.id);
      end_read(read, ReadResult::kFailed, EIO);
      return true;
    }
    if (file.availability.generation() != generation || file.revoked()) continue;
    answer_served(read, scratch.first(read.length));
    return true;
  }
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

}  // namespace sluice
